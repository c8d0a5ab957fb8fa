// The first view: a card a cluster, what may be worth doing, the distributions.

import { Card } from "./card.js";
import { askParts, chooseCluster } from "./dialogs.js";
import { button, el, many, number } from "./dom.js";
import { key, setKeys } from "./keys.js";
import { plots } from "./plots.js";
import { edit, onChange, store, title } from "./store.js";
import { Suggestions } from "./suggestions.js";
import { forget, wish } from "./thumbs.js";

const PAGE = 120; // cards that are made at a time
const SORTS = {
  size: ["Largest first", (a, b) => b.size - a.size],
  small: ["Smallest first", (a, b) => a.size - b.size],
  agreement: ["Least agreement first", (a, b) => a.agreement - b.agreement],
  confidence: ["Least confident first", (a, b) => a.confidence - b.confidence],
  purity: ["Least pure first", (a, b) => a.purity - b.purity],
  name: ["By name", (a, b) => title(a.id).localeCompare(title(b.id), "en", { numeric: true })],
  number: ["By number", (a, b) => a.id - b.id],
};
const kept = { sort: "size", words: "", unnamed: false, at: null, scroll: 0 }; // while the page is open
const picked = new Set(); // clusters

export function showOverview(main) {
  const view = new Overview(main);
  const stop = onChange(() => view.refresh());
  return () => {
    stop();
    view.close();
  };
}

class Overview {
  cards = new Map(); // id -> { node, canvas, ... }
  shown = PAGE;

  constructor(main) {
    this.main = main;
    this.search = el("input", {
      type: "search",
      value: kept.words,
      placeholder: "Find a cluster, or files",
      "aria-label": "Find a cluster by name or number, or files by their path",
      oninput: () => {
        kept.words = this.search.value;
        this.shown = PAGE;
        this.list();
      },
    });
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.search.value.trim())
        location.hash = `#/search/${encodeURIComponent(this.search.value.trim())}`;
      if (event.key === "Escape") {
        this.search.value = kept.words = "";
        this.list();
        this.search.blur();
      }
    });
    const sorts = Object.entries(SORTS).filter(([name]) => name !== "purity" || store.about.truth);
    this.sort = el(
      "select",
      {
        "aria-label": "Order of the clusters",
        onchange: () => {
          kept.sort = this.sort.value;
          this.list();
        },
      },
      sorts.map(([name, [text]]) => el("option", { value: name, text })),
    );
    this.sort.value = kept.sort;
    this.unnamed = el("input", {
      type: "checkbox",
      checked: kept.unnamed,
      onchange: () => {
        kept.unnamed = this.unnamed.checked;
        this.list();
      },
    });
    this.grid = el("div", { class: "cards", role: "list" });
    this.more = el("div", { class: "more" });
    this.suggestions = new Suggestions((ids) => this.mergeAll(ids));
    this.side = el("aside", { class: "side", "aria-label": "Distributions" });
    this.bar = document.getElementById("bar");
    this.findFiles = el("p", { class: "muted findfiles" });
    main.replaceChildren(
      el(
        "div",
        { class: "overview" },
        el(
          "div",
          { class: "left" },
          this.suggestions.node,
          el(
            "div",
            { class: "tools" },
            this.search,
            this.sort,
            el("label", { class: "check" }, this.unnamed, "without a name only"),
          ),
          this.findFiles,
          this.grid,
          this.more,
        ),
        this.side,
      ),
    );
    this.watcher = new IntersectionObserver(
      (seen) => {
        for (const { target, isIntersecting } of seen) target.card.near = isIntersecting;
        this.wish();
      },
      { rootMargin: "300px" },
    );
    this.pager = new IntersectionObserver(
      ([seen]) => {
        if (seen.isIntersecting) {
          this.shown += PAGE;
          this.list();
        }
      },
      { rootMargin: "600px" },
    );
    this.pager.observe(this.more);
    this.keys();
    this.refresh();
    document.scrollingElement.scrollTop = kept.scroll;
    this.resized = () => this.paint();
    addEventListener("resize", this.resized);
    addEventListener("theme", this.resized);
  }

  close() {
    kept.scroll = document.scrollingElement.scrollTop;
    this.watcher.disconnect();
    this.pager.disconnect();
    forget(this);
    this.suggestions.close();
    removeEventListener("resize", this.resized);
    removeEventListener("theme", this.resized);
    this.bar.replaceChildren();
  }

  refresh() {
    for (const id of [...picked]) if (!store.byId.has(id)) picked.delete(id);
    for (const [id, card] of this.cards)
      if (!store.byId.has(id)) {
        card.node.remove();
        this.watcher.unobserve(card.node);
        this.cards.delete(id);
      }
    this.list();
    this.side.replaceChildren(...plots(store.overview));
    this.suggestions.load();
    this.drawBar();
  }

  // -------------------------------------------------------------------------------------------------------------- cards

  get wanted() {
    const words = kept.words.trim().toLowerCase();
    const fits = (c) =>
      (!words || title(c.id).toLowerCase().includes(words) || String(c.id) === words || c.class?.toLowerCase() === words) &&
      (!kept.unnamed || !c.name);
    return store.overview.clusters.filter((c) => fits(c) && (c.size || c.name)).sort(SORTS[kept.sort]?.[1] || SORTS.size[1]);
  }

  list() {
    const wanted = this.wanted,
      now = wanted.slice(0, this.shown);
    this.order = now.map((c) => c.id);
    this.place(now.map((c) => this.card(c).node));
    this.more.textContent =
      wanted.length > now.length
        ? `${number(wanted.length - now.length)} more …`
        : wanted.length
          ? ""
          : "No cluster is called that.";
    const words = kept.words.trim();
    this.findFiles.replaceChildren(
      ...(words
        ? [
            button(
              `Find files whose path holds “${words}”`,
              "Enter",
              () => {
                location.hash = `#/search/${encodeURIComponent(words)}`;
              },
              "link",
            ),
          ]
        : []),
    );
    if (!this.order.includes(kept.at)) kept.at = this.order[0] ?? null;
    this.tabs();
    this.wish();
  }

  // Cards that stay where they are are left alone: what has the focus keeps it, and more are added in no time.
  place(nodes) {
    const grid = this.grid;
    nodes.forEach((node, i) => {
      if (grid.children[i] !== node) moved(() => grid.insertBefore(node, grid.children[i] || null), node);
    });
    while (grid.children.length > nodes.length) grid.lastChild.remove();
  }

  card(c) {
    const card = this.cards.get(c.id) || this.newCard(c.id);
    card.fill(c, picked.has(c.id));
    return card;
  }

  newCard(id) {
    const card = new Card(id, {
      onpick: (withShift) => this.pick(id, withShift),
      onkey: (event) => this.typing(event, id),
      onfocus: () => {
        kept.at = id;
        this.tabs();
      },
    });
    this.watcher.observe(card.node);
    this.cards.set(id, card);
    return card;
  }

  // One card is in the tab order, with what is in it: arrows go from card to card.
  tabs() {
    for (const [id, card] of this.cards) card.setStop(id === kept.at);
  }

  typing(event, id) {
    if (event.key === "Enter") {
      event.preventDefault();
      const next = this.cards.get(this.order[this.order.indexOf(id) + 1]);
      event.target.blur();
      (next?.name || this.cards.get(id).node).focus();
    } else if (event.key === "Escape") {
      event.target.callOff();
      this.cards.get(id).node.focus();
    }
    event.stopPropagation();
  }

  wish() {
    const near = [...this.cards.values()].filter((card) => card.near && card.node.isConnected);
    wish(
      this,
      near.flatMap((card) => card.rows),
      () => this.paint(),
    );
    this.paint();
  }

  paint() {
    for (const card of this.cards.values()) if (card.near && card.node.isConnected) card.paint();
    this.suggestions.paint();
  }

  // ------------------------------------------------------------------------------------------------------------ picking

  pick(id, withShift = false) {
    const from = this.order.indexOf(this.last),
      to = this.order.indexOf(id);
    const on = !picked.has(id);
    const range = withShift && from >= 0 ? this.order.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    for (const one of range) on ? picked.add(one) : picked.delete(one);
    this.last = id;
    this.refreshPicks();
  }

  refreshPicks() {
    for (const [id, card] of this.cards) card.setPicked(picked.has(id));
    this.drawBar();
  }

  drawBar() {
    const n = picked.size;
    this.bar.replaceChildren(
      ...(n
        ? [
            el(
              "div",
              { class: "actions", role: "toolbar", "aria-label": "What to do with the picked clusters" },
              el("b", { text: `${many(n, "cluster")} picked` }),
              button("Merge", "m", () => this.merge(), "main"),
              button("Clear", "Esc", () => this.clear()),
            ),
          ]
        : []),
    );
    this.bar.querySelector(".main")?.toggleAttribute("disabled", n < 2);
  }

  clear() {
    picked.clear();
    this.refreshPicks();
  }

  merge() {
    return this.mergeAll([...picked]);
  }

  // Into the one that has a name; into the largest where none has; asked where several have.
  async mergeAll(ids) {
    if (ids.length < 2) return;
    const named = ids.filter((id) => store.byId.get(id)?.name);
    const largest = ids.reduce((a, b) => (store.byId.get(b).size > store.byId.get(a).size ? b : a));
    const into =
      named.length > 1 ? (await chooseCluster("Which name should it keep?", { only: named }))?.id : (named[0] ?? largest);
    if (into === undefined) return;
    picked.clear();
    if (await edit({ do: "merge", clusters: ids, into })) this.focusCard(into);
    this.refreshPicks();
  }

  focusCard(id) {
    kept.at = id;
    this.tabs();
    this.cards.get(id)?.node.focus();
  }

  // --------------------------------------------------------------------------------------------------------------- keys

  go(step, shift) {
    if (!this.order.length) return;
    const at = Math.max(0, this.order.indexOf(kept.at));
    const to = Math.max(0, Math.min(this.order.length - 1, document.activeElement?.closest?.(".card") ? at + step : at));
    if (shift) {
      picked.add(this.order[at]);
      picked.add(this.order[to]);
      this.refreshPicks();
    }
    this.focusCard(this.order[to]);
    this.cards.get(this.order[to]).node.scrollIntoView({ block: "nearest" });
  }

  get across() {
    const tops = [...this.grid.children].map((node) => node.offsetTop);
    return Math.max(1, tops.findIndex((top) => top !== tops[0]) < 0 ? tops.length : tops.findIndex((top) => top !== tops[0]));
  }

  keys() {
    const at = (action) => () => {
      if (kept.at !== null) action(kept.at);
    };
    const steps = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -this.across, ArrowDown: () => this.across };
    const arrows = Object.entries(steps).flatMap(([name, step]) => [
      key(name, "", () => this.go(step())),
      key(`shift+${name}`, "", () => this.go(step(), true)),
    ]);
    const list = [
      key("Arrows", "go from cluster to cluster (with Shift: pick them)"),
      key(
        "Enter",
        "open the cluster",
        at((id) => {
          location.hash = `#/cluster/${id}`;
        }),
      ),
      key(
        "n",
        "name the cluster; Enter goes on to the next",
        at((id) => {
          this.cards.get(id).name.focus();
          this.cards.get(id).name.select();
        }),
      ),
      key(
        " ",
        "pick the cluster, or not",
        at((id) => this.pick(id)),
      ),
      key("m", "merge the picked clusters", () => (picked.size > 1 ? this.merge() : this.mergeInto())),
      key(
        "s",
        "split the cluster",
        at((id) => splitAsked(id)),
      ),
      key("/", "find", () => this.search.focus()),
      key("Escape", "pick none", () => this.clear()),
    ];
    setKeys("Clusters", list);
    this.arrows = (event) => {
      if (
        event.target.closest("input, select, dialog, button, textarea") ||
        event.altKey ||
        event.ctrlKey ||
        event.metaKey ||
        document.querySelector("dialog[open]")
      )
        return;
      const found = arrows.find((k) => k.keys[0] === `${event.shiftKey ? "shift+" : ""}${event.key}`);
      if (found) {
        event.preventDefault();
        found.action();
      }
    };
    this.main.firstChild.addEventListener("keydown", this.arrows);
    this.main.onkeydown = (event) => {
      if (event.target === this.main) this.arrows(event);
    };
  }

  async mergeInto() {
    if (kept.at === null) return;
    const other = await chooseCluster(`Merge ${title(kept.at)} into`, { without: [kept.at] });
    if (other) {
      const id = kept.at;
      if (await edit({ do: "merge", clusters: [other.id, id], into: other.id })) this.focusCard(other.id);
    }
  }
}

export async function splitAsked(id) {
  const parts = await askParts(id);
  return parts ? edit({ do: "split", cluster: id, parts }) : false;
}

// Does what moves a node in the page; what has the focus within it has it again afterwards.
function moved(act, node) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  act();
  if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
}
