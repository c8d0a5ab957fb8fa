// Beside the map: the clusters and their colours; or, while items are selected, these items, to check them before an action.

import { clusterColour } from "./colours.js";
import { Details } from "./details.js";
import { el } from "./dom.js";
import { formatNumber, plural } from "./format.js";
import { ItemGrid } from "./grid.js";
import { selection } from "./selection.js";
import { clusterTitle, inUse, mainModality } from "./store.js";

const MAX_CLUSTERS = 500,
  TILE_PX = 72;

export class MapSide {
  onlyCluster = null; // the only cluster shown in colour

  // ononly(cluster or null): another cluster, or all, is to be shown in colour.
  constructor(ononly) {
    this.ononly = ononly;
    this.legend = el("ul", { class: "legend", "aria-label": "Clusters" });
    this.node = el("aside", { class: "mapside" }, this.legend);
  }

  close() {
    this.grid?.close();
    this.details?.close();
    this.grid = this.details = null;
  }

  // ------------------------------------------------------------------------------------------------------------- legend

  drawLegend() {
    const bySize = inUse().sort((a, b) => b.size - a.size);
    this.legend.replaceChildren(...bySize.slice(0, MAX_CLUSTERS).map((c) => this.legendLine(c)));
  }

  legendLine({ id, size }) {
    const title = clusterTitle(id);
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = clusterColour(id);
    const toggle = el(
      "button",
      {
        type: "button",
        class: "plain",
        "aria-pressed": String(this.onlyCluster === id),
        title: "Show this cluster alone, or all",
        onclick: () => this.toggle(id),
      },
      swatch,
      el("span", { class: "what", text: title }),
      el("span", { class: "muted", text: formatNumber(size) }),
    );
    const label = `Open ${title}`;
    return el("li", {}, toggle, el("a", { href: `#/cluster/${id}`, title: label, "aria-label": label, text: "→" }));
  }

  toggle(id) {
    this.onlyCluster = this.onlyCluster === id ? null : id;
    this.drawLegend();
    this.ononly(this.onlyCluster);
  }

  // ----------------------------------------------------------------------------------------------------- selected items

  showSelected() {
    if (!selection.size) {
      this.close();
      return this.node.replaceChildren(this.legend);
    }
    if (!this.grid) this.openGrid();
    this.count.textContent = plural(selection.size, "item");
    // An item that is clicked away here stays in sight, so that it can be selected again.
    const isUsed = this.grid.box.contains(document.activeElement);
    if (isUsed && [...selection.rows].every((row) => this.shownRows.has(row))) return;
    this.shownRows = new Set(selection.rows);
    this.grid.setRows(Int32Array.from(this.shownRows).sort());
  }

  openGrid() {
    this.count = el("h2");
    const wall = el("div", { class: "wall" });
    this.node.replaceChildren(this.count, wall);
    this.grid = new ItemGrid(wall, {
      modality: mainModality(),
      side: TILE_PX,
      label: "Selected items",
      onfocus: (row) => this.details?.show(row),
    });
    this.details = new Details(this.node);
    this.details.node.classList.add("small");
  }
}
