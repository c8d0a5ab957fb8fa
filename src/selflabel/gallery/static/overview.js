// The first view: a card for each cluster, suggested edits, and two distributions.

import { chooseMergeTarget, mergeClusters, mergeIntoOther, splitCluster } from "./actions.js";
import { CardList } from "./card-list.js";
import { ClusterFilter } from "./cluster-filter.js";
import { ClusterPicks } from "./cluster-picks.js";
import { el } from "./dom.js";
import { key, setViewKeys } from "./keys.js";
import { drawPlots } from "./plots.js";
import { runSummary } from "./run-summary.js";
import { onChange, store } from "./store.js";
import { Suggestions } from "./suggestions.js";

let scrollTop = 0; // when the view was last closed

// Returns a function that closes the view.
export function showOverview(main) {
  const view = new Overview(main);
  const stop = onChange(() => view.refresh());
  return () => {
    stop();
    view.close();
  };
}

class Overview {
  constructor(main) {
    this.main = main;
    this.filter = new ClusterFilter({ onsearch: () => this.listFromStart(), onchange: () => this.list() });
    this.picks = new ClusterPicks({ onchange: () => this.cards.showPicks(), onmerge: () => this.mergePicked() });
    this.suggestions = new Suggestions((ids) => this.merge(ids));
    this.cards = new CardList(this.picks, { onmore: () => this.list(), onpaint: () => this.suggestions.paint() });
    this.side = el("aside", { class: "side", "aria-label": "Distributions" });
    this.node = this.layout();
    main.replaceChildren(this.node);
    this.setKeys();
    this.listenForArrows();
    this.refresh();
    document.scrollingElement.scrollTop = scrollTop;
    this.repaint = () => this.cards.paint();
    addEventListener("resize", this.repaint);
    addEventListener("theme", this.repaint);
  }

  layout() {
    const left = [this.suggestions.node, this.filter.node, this.filter.findFiles, this.cards.node, this.cards.end];
    return el("div", { class: "overview" }, el("div", { class: "left" }, left), this.side);
  }

  close() {
    scrollTop = document.scrollingElement.scrollTop;
    this.cards.close();
    this.suggestions.close();
    this.picks.close();
    this.main.onkeydown = null;
    removeEventListener("resize", this.repaint);
    removeEventListener("theme", this.repaint);
  }

  refresh() {
    this.picks.removeGone();
    this.cards.removeGone();
    this.list();
    this.side.replaceChildren(...drawPlots(store.overview), runSummary(store.about.summary));
    this.suggestions.load();
    this.picks.drawBar();
  }

  list() {
    this.cards.show(this.filter.clusters());
    this.filter.drawFindFiles();
  }

  listFromStart() {
    this.cards.backToFirstPage();
    this.list();
  }

  // ------------------------------------------------------------------------------------------------------------ merging

  mergePicked() {
    return this.merge(this.picks.ids);
  }

  async merge(ids) {
    if (ids.length < 2) return;
    const into = await chooseMergeTarget(ids);
    if (into === undefined) return;
    this.picks.clear();
    if (await mergeClusters(ids, into)) this.cards.focus(into);
  }

  async mergeCurrent() {
    if (this.cards.currentId === null) return;
    const into = await mergeIntoOther(this.cards.currentId);
    if (into !== null) this.cards.focus(into);
  }

  // --------------------------------------------------------------------------------------------------------------- keys

  setKeys() {
    const { cards, picks } = this;
    const onCurrent = (action) => () => {
      if (cards.currentId !== null) action(cards.currentId);
    };
    const open = onCurrent((id) => {
      location.hash = `#/cluster/${id}`;
    });
    const editName = onCurrent((id) => cards.editName(id));
    const pick = onCurrent((id) => picks.toggle(id, cards.order));
    const split = onCurrent((id) => splitCluster(id));
    setViewKeys("Clusters", [
      key("Arrows", "go from cluster to cluster (with Shift: pick them)"),
      key("Enter", "open the cluster", open),
      key("n", "name the cluster; Enter goes on to the next", editName),
      key(" ", "pick the cluster, or not", pick),
      key("m", "merge the picked clusters", () => (picks.ids.length > 1 ? this.mergePicked() : this.mergeCurrent())),
      key("s", "split the cluster", split),
      key("/", "find", () => this.filter.search.focus()),
      key("Escape", "pick none", () => picks.clear()),
    ]);
  }

  // Arrows are handled here and not in the list of keys: elsewhere on the page they scroll.
  listenForArrows() {
    this.node.addEventListener("keydown", (event) => this.onArrow(event));
    this.main.onkeydown = (event) => {
      if (event.target === this.main) this.onArrow(event);
    };
  }

  onArrow(event) {
    const isInControl = event.target.closest("input, select, dialog, button, textarea");
    if (isInControl || event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
    const steps = {
      ArrowLeft: () => -1,
      ArrowRight: () => 1,
      ArrowUp: () => -this.cards.columns,
      ArrowDown: () => this.cards.columns,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.goBy(steps[event.key](), event.shiftKey);
  }

  goBy(step, withShift) {
    const { cards } = this;
    if (!cards.order.length) return;
    const [from, to] = cards.step(step);
    if (withShift) this.picks.add([from, to]);
    cards.focus(to);
    cards.scrollTo(to);
  }
}
