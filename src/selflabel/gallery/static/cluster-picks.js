// The clusters that are picked for a merge, and the bar that offers it.

import { button, el } from "./dom.js";
import { plural } from "./format.js";
import { store } from "./store.js";

const pickedIds = new Set(); // ids; kept while the page is open

export class ClusterPicks {
  // onchange: the picks have changed. onmerge: the user wants to merge them.
  constructor({ onchange, onmerge }) {
    Object.assign(this, { onchange, onmerge });
    this.bar = document.getElementById("bar");
  }

  close() {
    this.bar.replaceChildren();
  }

  get ids() {
    return [...pickedIds];
  }

  has(id) {
    return pickedIds.has(id);
  }

  // With Shift, all clusters from the last one that was toggled follow. order: ids as shown.
  toggle(id, order, withShift = false) {
    const from = order.indexOf(this.lastId),
      to = order.indexOf(id);
    const isAdded = !pickedIds.has(id);
    const range = withShift && from >= 0 ? order.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    for (const other of range) isAdded ? pickedIds.add(other) : pickedIds.delete(other);
    this.lastId = id;
    this.notify();
  }

  add(ids) {
    for (const id of ids) pickedIds.add(id);
    this.notify();
  }

  clear() {
    pickedIds.clear();
    this.notify();
  }

  // After an edit: clusters that were merged or emptied are gone.
  removeGone() {
    for (const id of this.ids) if (!store.clustersById.get(id)?.size) pickedIds.delete(id);
  }

  notify() {
    this.onchange();
    this.drawBar();
  }

  drawBar() {
    if (!pickedIds.size) return this.bar.replaceChildren();
    const merge = button("Merge", "m", this.onmerge, "main");
    this.bar.replaceChildren(
      el(
        "div",
        { class: "actions", role: "toolbar", "aria-label": "What to do with the picked clusters" },
        el("b", { text: `${plural(pickedIds.size, "cluster")} picked` }),
        merge,
        button("Clear", "Esc", () => this.clear()),
      ),
    );
    merge.toggleAttribute("disabled", pickedIds.size < 2);
  }
}
