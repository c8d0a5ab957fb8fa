// The card of the items that fit no cluster. It has no name, and cannot be picked or merged.

import { el } from "./dom.js";
import { formatNumber, plural } from "./format.js";
import { Mosaic } from "./mosaic.js";
import { OUTLIERS } from "./store.js";

export class OutlierCard {
  rows = []; // of the items in the mosaic
  isNear = false; // near the window, so that its pictures are needed

  constructor() {
    this.mosaic = new Mosaic();
    this.size = el("span", { class: "size" });
    this.node = el(
      "article",
      { class: "card outliers", role: "listitem" },
      el("a", { class: "cover", href: "#/outliers", "aria-label": `Open ${OUTLIERS}` }, this.mosaic.canvas),
      el("div", { class: "line" }, el("b", { text: OUTLIERS }), this.size),
      el("p", { class: "facts muted", text: "unlike the other items; open to restore some" }),
    );
    this.node.card = this;
  }

  // outliers: their number and the first rows, as in the overview.
  update({ size, rows }) {
    this.rows = rows;
    this.node.setAttribute("aria-label", `${OUTLIERS}, ${plural(size, "item")}`);
    this.size.textContent = formatNumber(size);
  }

  paint() {
    this.mosaic.paint(this.rows);
  }
}
