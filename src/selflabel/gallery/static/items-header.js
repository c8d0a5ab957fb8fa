// The line above a grid of items: what they are, their order, the size of the tiles, and what can be done with their cluster.

import { clusterColour } from "./colours.js";
import { button, el } from "./dom.js";
import { percent } from "./format.js";
import { nameField } from "./name-field.js";
import { ScoreFilter, countText } from "./score-filter.js";
import { store } from "./store.js";

export const MIN_SIDE = 48,
  MAX_SIDE = 240;
const ORDERS = [
  ["typical", "Most typical"],
  ["unsure", "Least sure"],
];

export class ItemsHeader {
  node = el("div", { class: "itemhead" });

  // cluster: its id, or null. pieces: of the run, see `kindsOfPieces`. actions: onorder(order), onside(side), onsplit, onmerge, those of
  // the score filter, and ondone: the name has been typed.
  constructor(cluster, pieces, actions) {
    Object.assign(this, { cluster, ...actions });
    this.filter = cluster !== null && pieces ? new ScoreFilter({ hasScores: pieces.scores, ...actions }) : null;
  }

  // state: { heading, count: [shown, all], order (null for a list without), side }.
  draw({ heading, count, order, side }) {
    const record = store.clustersById.get(this.cluster);
    this.count = el("span", { class: "muted", role: "status", text: countText(...count) });
    const back = el("a", { class: "back", href: "#/", title: "Back to the clusters (Esc)", text: "← Clusters" });
    const title = record ? this.clusterTitle(record) : [el("h1", { text: heading }), this.count];
    const tools = [order && this.orderSwitch(order), this.sideSlider(side), ...(record?.size ? this.clusterButtons() : [])];
    const isFiltering = this.filter?.node.contains(document.activeElement) && document.activeElement;
    const filter = record?.size && this.filter ? [this.filter.node] : [];
    this.node.replaceChildren(back, ...title, ...filter, el("div", { class: "tools" }, tools));
    if (isFiltering) isFiltering.focus();
  }

  setCount(shown, all) {
    this.count.textContent = countText(shown, all);
  }

  setSide(side) {
    this.slider.value = String(side);
  }

  editName() {
    this.name.focus();
    this.name.select();
  }

  clusterTitle(record) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = clusterColour(record.id);
    // A name that is being typed is left alone.
    if (!this.name?.isConnected || document.activeElement !== this.name) this.name = this.makeNameField(record.id);
    const facts = el("span", { class: "muted wide", text: describe(record) });
    return [el("div", { class: "called" }, swatch, this.name), this.count, facts];
  }

  makeNameField(id) {
    const field = nameField(id, "name big");
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") field.cancel();
      if (event.key === "Enter" || event.key === "Escape") {
        event.stopPropagation();
        this.ondone();
      }
    });
    return field;
  }

  orderSwitch(current) {
    const choice = ([value, text]) =>
      el("button", {
        type: "button",
        "aria-pressed": String(current === value),
        text,
        title: `${text} first (o)`,
        onclick: () => this.onorder(value),
      });
    return el("div", { class: "switch", role: "group", "aria-label": "Order" }, ORDERS.map(choice));
  }

  sideSlider(side) {
    this.slider = el("input", {
      type: "range",
      min: String(MIN_SIDE),
      max: String(MAX_SIDE),
      step: "8",
      value: String(side),
      oninput: (event) => this.onside(Number(event.target.value)),
    });
    const label = el("span", { class: "unseen", text: "Size of the tiles" });
    return el("label", { class: "size", title: "Size of the tiles (+ and -)" }, label, this.slider);
  }

  clusterButtons() {
    return [
      button("Split", "Split this cluster (s)", () => this.onsplit()),
      button("Merge", "Merge this cluster into another (m)", () => this.onmerge()),
    ];
  }
}

function describe({ agreement, confidence, purity, size, class: className }) {
  const pure = purity !== undefined && size ? ` · ${percent(purity)} pure (“${className}”)` : "";
  return `${percent(agreement)} agree · ${percent(confidence)} sure${pure}`;
}
