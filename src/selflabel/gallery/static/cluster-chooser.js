// A dialog to choose a cluster: type to narrow the list, arrows and Enter to choose.

import { clusterColour } from "./colours.js";
import { ask } from "./dialogs.js";
import { el, scaledContext } from "./dom.js";
import { plural } from "./format.js";
import { clusterTitle, inUse, store } from "./store.js";
import { cancelRequests, drawTile, requestPictures } from "./thumbs.js";

const MAX_OFFERS = 200,
  MAX_WITH_PICTURES = 40,
  PICTURES = 3,
  TILE = 32;

// without: clusters not to offer. only: the only ones to offer. allowNew: offer a new cluster with the name that was typed.
// likely: a promise of { clusters, within }: those to offer first, and one not to offer. It is ignored if it comes after the user
// has begun to choose.
// Resolves to the cluster's record, to { id, isNew: true, name } for a new one, or to null.
export function chooseCluster(heading, options = {}) {
  return ask(heading, (done) => new ClusterChooser(heading, options, done).node);
}

// Its number too where its title does not have it.
const sizeText = ({ id, name, size }) => `${name ? `no. ${id} · ` : ""}${plural(size, "item")}`;

class ClusterChooser {
  offers = [];
  at = 0; // index of the highlighted offer
  likelihoodRank = new Map(); // cluster -> 0 for the most likely
  strips = new Map(); // canvas -> rows

  constructor(heading, { without = [], only = null, allowNew = false, likely = null }, done) {
    this.clusters = inUse().filter((c) => !without.includes(c.id) && (!only || only.includes(c.id)));
    this.allowNew = allowNew;
    this.done = done;
    this.input = el("input", {
      type: "search",
      placeholder: allowNew ? "Type a name: of a cluster, or of a new one" : "Type to narrow",
      "aria-label": heading,
      "data-first": true,
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "offers",
    });
    this.list = el("ul", { id: "offers", role: "listbox", class: "offers" });
    this.node = el("div", { class: "chooser" }, this.input, this.list);
    this.input.addEventListener("input", () => {
      this.at = 0;
      this.draw();
    });
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.draw();
    likely?.then((result) => this.offerFirst(result));
  }

  choose(offer) {
    cancelRequests(this);
    this.done(offer);
  }

  onKey(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.at = (this.at + step + this.offers.length) % Math.max(1, this.offers.length);
      this.draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.offers[this.at]) this.choose(this.offers[this.at]);
    }
  }

  offerFirst({ clusters, within }) {
    if (this.input.value || this.at) return;
    this.likelihoodRank = new Map(clusters.map((id, i) => [id, i]));
    this.clusters = this.clusters.filter((c) => c.id !== within);
    this.draw();
  }

  // The most likely clusters first, then those with a name, then by number.
  findOffers() {
    const typed = this.input.value.trim(),
      query = typed.toLowerCase();
    const rank = (c) => this.likelihoodRank.get(c.id) ?? Infinity;
    const byRank = (a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b));
    const hasName = (c) => Number(Boolean(c.name));
    const offers = this.clusters
      .filter((c) => clusterTitle(c.id).toLowerCase().includes(query) || String(c.id) === query)
      .sort((a, b) => byRank(a, b) || hasName(b) - hasName(a) || a.id - b.id)
      .slice(0, MAX_OFFERS);
    const isTaken = this.clusters.some((c) => [c.name, clusterTitle(c.id)].some((title) => title.toLowerCase() === query));
    if (this.allowNew && (!query || !isTaken))
      offers.push({ id: store.overview.next_number, isNew: true, name: typed, rows: [] });
    return offers;
  }

  draw() {
    this.offers = this.findOffers();
    this.at = Math.max(0, Math.min(this.at, this.offers.length - 1));
    this.strips.clear();
    this.list.replaceChildren(...this.offers.map((offer, i) => this.drawOffer(offer, i === this.at)));
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
    const rows = this.offers.slice(0, MAX_WITH_PICTURES).flatMap((offer) => offer.rows.slice(0, PICTURES));
    requestPictures(this, rows, () => this.paint());
    this.paint();
  }

  drawOffer(offer, isAt) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = clusterColour(offer.id);
    const title = !offer.isNew ? clusterTitle(offer.id) : offer.name ? `New cluster “${offer.name}”` : "New cluster";
    return el(
      "li",
      { role: "option", "aria-selected": String(isAt), onclick: () => this.choose(offer), class: isAt ? "at" : "" },
      offer.isNew ? el("span", { class: "strip plus", text: "+" }) : this.makeStrip(offer),
      swatch,
      el("span", { class: "what", text: title }),
      offer.isNew ? null : el("span", { class: "muted", text: sizeText(offer) }),
    );
  }

  makeStrip({ rows }) {
    const canvas = el("canvas", { class: "strip", "aria-hidden": "true" });
    this.strips.set(canvas, rows.slice(0, PICTURES));
    return canvas;
  }

  paint() {
    this.strips.forEach((rows, canvas) => {
      const g = scaledContext(canvas, PICTURES * TILE, TILE);
      rows.forEach((row, i) => drawTile(g, row, i * TILE, 0, TILE - 1));
    });
  }
}
