// Beside the map: the clusters and their colours, or, while items are selected, these, to be looked at before they are moved.

import { Details } from "./details.js";
import { el, hue, many, number } from "./dom.js";
import { ItemGrid } from "./grid.js";
import { media } from "./items.js";
import { selection, store, title } from "./store.js";

const MOST = 500;

export class MapSide {
  alone = null;

  // onalone(cluster or null): the only one to be shown in colour.
  constructor(onalone) {
    this.onalone = onalone;
    this.legend = el("ul", { class: "legend", "aria-label": "Clusters" });
    this.node = el("aside", { class: "mapside" }, this.legend);
  }

  close() {
    this.grid?.close();
    this.details?.close();
    this.grid = this.details = null;
  }

  drawLegend() {
    const filled = store.overview.clusters.filter((c) => c.size).sort((a, b) => b.size - a.size);
    this.legend.replaceChildren(...filled.slice(0, MOST).map((c) => this.line(c)));
  }

  line(c) {
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = hue(c.id);
    const show = el(
      "button",
      {
        type: "button",
        class: "plain",
        "aria-pressed": String(this.alone === c.id),
        title: "Show this cluster alone, or all",
        onclick: () => this.toggle(c.id),
      },
      swatch,
      el("span", { class: "what", text: title(c.id) }),
      el("span", { class: "muted", text: number(c.size) }),
    );
    return el(
      "li",
      {},
      show,
      el("a", { href: `#/cluster/${c.id}`, title: `Open ${title(c.id)}`, "aria-label": `Open ${title(c.id)}`, text: "→" }),
    );
  }

  toggle(id) {
    this.alone = this.alone === id ? null : id;
    this.drawLegend();
    this.onalone(this.alone);
  }

  showSelected() {
    if (!selection.size) {
      this.close();
      return this.node.replaceChildren(this.legend);
    }
    if (!this.grid) this.openGrid();
    this.count.textContent = many(selection.size, "item");
    // An item clicked away among these stays in sight: one may change one's mind.
    const inHand = this.grid.box.contains(document.activeElement) && [...selection.rows].every((row) => this.shown.has(row));
    if (inHand) return;
    this.shown = new Set(selection.rows);
    this.grid.setRows(Int32Array.from(this.shown).sort());
  }

  openGrid() {
    this.count = el("h2");
    const wall = el("div", { class: "wall" });
    this.node.replaceChildren(this.count, wall);
    this.grid = new ItemGrid(wall, {
      media: media(),
      side: 72,
      label: "Selected items",
      onfocus: (row) => this.details?.show(row),
    });
    this.details = new Details(this.node);
    this.details.node.classList.add("small");
  }
}
