// The labelling as the server has it, shared by all views; every change goes to the server's log first.

import { getJson, post } from "./api.js";
import { el, button, many } from "./dom.js";

export const store = { about: null, overview: null, byId: new Map() };
const listeners = new Set();

export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function take(overview) {
  store.overview = overview;
  store.byId = new Map(overview.clusters.map((c) => [c.id, c]));
  for (const listener of [...listeners]) listener(overview);
}

export async function refresh() {
  take(await getJson("/api/overview"));
}

export const title = (id) => (id < 0 ? "Rejected" : store.byId.get(id)?.name || `Cluster ${id}`);

// One edit; resolves to whether it was done. Edits wait for one another, so that a quick hand is followed in order.
let last = Promise.resolve();
export function edit(values) {
  last = last.then(() => sent(values));
  return last;
}

// A refusal is said, and the page looks anew: another tab may have been quicker.
async function sent(values) {
  try {
    const found = await post("/api/edits", values);
    take(found);
    const twins =
      values.do === "name" && values.name ? found.clusters.filter((c) => c.name === values.name && c.size).map((c) => c.id) : [];
    if (twins.length > 1) {
      toast(`${twins.length} clusters are called “${values.name}”.`, [
        "Merge them",
        () => edit({ do: "merge", clusters: twins, into: twins[0] }),
      ]);
      return true;
    }
    const verb = { undo: "Taken back: ", redo: "Brought back: " }[values.do] || "Done: ";
    toast(verb + found.said, !["undo", "redo"].includes(values.do) ? ["Undo", () => undo()] : null);
    return true;
  } catch (error) {
    toast(error.message, null, true);
    await refresh().catch(() => {});
    return false;
  }
}

export const undo = () => edit({ do: "undo" });
export const redo = () => edit({ do: "redo" });

// A line at the foot that goes away by itself.
export function toast(text, action = null, bad = false) {
  const region = document.getElementById("toasts");
  const line = el("div", { class: bad ? "toast bad" : "toast" }, el("span", { text }));
  const gone = () => line.remove();
  if (action)
    line.append(
      button(action[0], "", () => {
        gone();
        action[1]();
      }),
    );
  region.replaceChildren(line);
  setTimeout(gone, bad ? 9000 : 5000);
}

// Another tab's edits, and the server's end, are noticed within two seconds.
export function watch() {
  let lost = false;
  const look = async () => {
    if (document.visibilityState !== "visible" || !store.overview) return;
    try {
      const { version } = await getJson("/api/version");
      if (lost) {
        lost = false;
        toast("The server is back.");
      }
      if (version !== store.overview.version) await refresh();
    } catch (error) {
      if (!lost) toast(error.message, null, true);
      lost = true;
    }
  };
  setInterval(look, 2000);
  document.addEventListener("visibilitychange", look);
}

// Items picked out, in whatever view; actions work on them.
class Selection {
  rows = new Set();
  listeners = new Set();
  changed() {
    for (const listener of [...this.listeners]) listener(this);
  }
  get size() {
    return this.rows.size;
  }
  has(row) {
    return this.rows.has(row);
  }
  toggle(row) {
    this.rows.has(row) ? this.rows.delete(row) : this.rows.add(row);
    this.changed();
  }
  add(rows) {
    for (const row of rows) this.rows.add(row);
    this.changed();
  }
  set(rows) {
    this.rows = new Set(rows);
    this.changed();
  }
  clear() {
    if (this.rows.size) {
      this.rows.clear();
      this.changed();
    }
  }
  get words() {
    return many(this.size, "item");
  }
}
export const selection = new Selection();
