// The selected items, shared by all views; actions apply to them.

import { plural } from "./format.js";

class Selection {
  rows = new Set();
  listeners = new Set();

  get size() {
    return this.rows.size;
  }

  get description() {
    return plural(this.size, "item");
  }

  has(row) {
    return this.rows.has(row);
  }

  toggle(row) {
    this.rows.has(row) ? this.rows.delete(row) : this.rows.add(row);
    this.notify();
  }

  add(rows) {
    for (const row of rows) this.rows.add(row);
    this.notify();
  }

  set(rows) {
    this.rows = new Set(rows);
    this.notify();
  }

  clear() {
    if (!this.rows.size) return;
    this.rows.clear();
    this.notify();
  }

  notify() {
    for (const listener of [...this.listeners]) listener(this);
  }
}

export const selection = new Selection();
