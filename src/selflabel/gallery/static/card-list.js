// The cards of the overview. They are made a page at a time as the user scrolls, and painted only near the window.

import { Card } from "./card.js";
import { el } from "./dom.js";
import { formatNumber } from "./format.js";
import { OutlierCard } from "./outlier-card.js";
import { store } from "./store.js";
import { cancelRequests, requestPictures } from "./thumbs.js";

const PAGE_CARDS = 120;
let currentId = null; // the cluster whose card has or last had the focus; kept while the page is open

export class CardList {
  cards = new Map(); // id -> Card
  order = []; // ids, as shown
  limit = PAGE_CARDS;

  // picks: the picked clusters. onmore: the end is near, and the limit is raised. onpaint: the cards were painted.
  constructor(picks, { onmore, onpaint }) {
    Object.assign(this, { picks, onpaint });
    this.node = el("div", { class: "cards", role: "list" });
    this.end = el("div", { class: "more" });
    this.nearObserver = new IntersectionObserver((entries) => this.setNear(entries), { rootMargin: "300px" });
    this.endObserver = new IntersectionObserver(
      ([{ isIntersecting }]) => {
        if (!isIntersecting) return;
        this.limit += PAGE_CARDS;
        onmore();
      },
      { rootMargin: "600px" },
    );
    this.endObserver.observe(this.end);
  }

  close() {
    this.nearObserver.disconnect();
    this.endObserver.disconnect();
    cancelRequests(this);
  }

  get currentId() {
    return currentId;
  }

  backToFirstPage() {
    this.limit = PAGE_CARDS;
  }

  // Shows the first of these clusters, as many as the limit allows.
  show(clusters) {
    const page = clusters.slice(0, this.limit),
      hiddenCount = clusters.length - page.length;
    this.order = page.map((c) => c.id);
    this.arrange([...page.map((c) => this.updatedCard(c).node), ...(hiddenCount > 0 ? [] : this.outlierNodes())]);
    this.end.textContent =
      hiddenCount > 0 ? `${formatNumber(hiddenCount)} more …` : clusters.length ? "" : "No cluster is called that.";
    if (!this.order.includes(currentId)) currentId = this.order[0] ?? null;
    this.setTabStops();
    this.requestPictures();
  }

  // Moves only the cards that are not in place, so that the focus stays where it is and adding a page is fast.
  arrange(nodes) {
    const { children } = this.node;
    nodes.forEach((node, i) => {
      if (children[i] !== node) keepFocus(node, () => this.node.insertBefore(node, children[i] || null));
    });
    while (children.length > nodes.length) this.node.lastChild.remove();
  }

  updatedCard(cluster) {
    const card = this.cards.get(cluster.id) || this.addCard(cluster.id);
    card.update(cluster, this.picks.has(cluster.id));
    return card;
  }

  // The card of the items that fit no cluster, as the last one, where there are such.
  outlierNodes() {
    const { outliers } = store.overview;
    if (!outliers.size) return [];
    if (!this.outlierCard) {
      this.outlierCard = new OutlierCard();
      this.nearObserver.observe(this.outlierCard.node);
    }
    this.outlierCard.update(outliers);
    return [this.outlierCard.node];
  }

  addCard(id) {
    const card = new Card(id, {
      onpick: (withShift) => this.picks.toggle(id, this.order, withShift),
      onkey: (event) => this.onNameKey(event, id),
      onfocus: () => {
        currentId = id;
        this.setTabStops();
      },
    });
    this.nearObserver.observe(card.node);
    this.cards.set(id, card);
    return card;
  }

  // After a merge, for one.
  removeGone() {
    for (const [id, card] of this.cards)
      if (!store.clustersById.has(id)) {
        card.node.remove();
        this.nearObserver.unobserve(card.node);
        this.cards.delete(id);
      }
  }

  showPicks() {
    for (const [id, card] of this.cards) card.setPicked(this.picks.has(id));
  }

  // ---------------------------------------------------------------------------------------------------------- pictures

  setNear(entries) {
    for (const { target, isIntersecting } of entries) target.card.isNear = isIntersecting;
    this.requestPictures();
  }

  get nearCards() {
    const outlierCards = this.outlierCard ? [this.outlierCard] : [];
    return [...this.cards.values(), ...outlierCards].filter((card) => card.isNear && card.node.isConnected);
  }

  requestPictures() {
    const rows = this.nearCards.flatMap((card) => card.rows);
    requestPictures(this, rows, () => this.paint());
    this.paint();
  }

  paint() {
    for (const card of this.nearCards) card.paint();
    this.onpaint();
  }

  // ------------------------------------------------------------------------------------------------------------- focus

  // Only the current card can be reached with Tab; arrows go from card to card.
  setTabStops() {
    for (const [id, card] of this.cards) card.setTabStop(id === currentId);
  }

  focus(id) {
    currentId = id;
    this.setTabStops();
    this.cards.get(id)?.node.focus();
  }

  // Goes some cards on from the current one; to the current one itself if no card has the focus. Returns [from, to].
  step(by) {
    const from = Math.max(0, this.order.indexOf(currentId)),
      hasFocus = document.activeElement?.closest?.(".card");
    const to = Math.max(0, Math.min(this.order.length - 1, hasFocus ? from + by : from));
    return [this.order[from], this.order[to]];
  }

  scrollTo(id) {
    this.cards.get(id).node.scrollIntoView({ block: "nearest" });
  }

  get columns() {
    const tops = [...this.node.children].map((node) => node.offsetTop);
    const secondLine = tops.findIndex((top) => top !== tops[0]);
    return Math.max(1, secondLine < 0 ? tops.length : secondLine);
  }

  editName(id) {
    const { name } = this.cards.get(id);
    name.focus();
    name.select();
  }

  // Enter goes on to the next cluster's name, Escape back to the card without a change.
  onNameKey(event, id) {
    if (event.key === "Enter") {
      event.preventDefault();
      const next = this.cards.get(this.order[this.order.indexOf(id) + 1]);
      event.target.blur();
      (next?.name || this.cards.get(id).node).focus();
    } else if (event.key === "Escape") {
      event.target.cancel();
      this.cards.get(id).node.focus();
    }
    event.stopPropagation();
  }
}

// A node that is moved in the document loses the focus; this gives it back.
function keepFocus(node, move) {
  const focusedElement = node.contains(document.activeElement) ? document.activeElement : null;
  move();
  if (focusedElement && focusedElement !== document.activeElement) focusedElement.focus({ preventScroll: true });
}
