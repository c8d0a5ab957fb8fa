// The second view: all items of a cluster, of a search, of what was rejected, or of all there is, least sure first.

import { getRows, post } from "./api.js";
import { chooseCluster } from "./dialogs.js";
import { Details } from "./details.js";
import { button, el, hue, many, number, percent } from "./dom.js";
import { ItemGrid } from "./grid.js";
import { key, setKeys } from "./keys.js";
import { nameField } from "./naming.js";
import { splitAsked } from "./overview.js";
import { edit, onChange, selection, store, title, toast } from "./store.js";

const kept = { side: innerWidth < 700 ? 78 : 96, order: "typical" };
const NARROW = 900;

// which: a cluster's number as text, "all", "rejected" or "search"; words: what is searched for.
export function showItems(main, which, words = "") {
  const view = new Items(main, which, words);
  const stop = onChange(() => view.refresh());
  return () => {
    stop();
    view.close();
  };
}

export const media = () =>
  store.about.modalities.includes("video")
    ? "video"
    : store.about.modalities.includes("image")
      ? "image"
      : store.about.modalities.includes("audio")
        ? "audio"
        : "image";

class Items {
  constructor(main, which, words) {
    Object.assign(this, {
      main,
      which,
      words,
      order: which === "all" ? "unsure" : which === "rejected" || which === "search" ? "row" : kept.order,
    });
    this.cluster = /^\d+$/.test(which) ? Number(which) : null;
    this.head = el("div", { class: "itemhead" });
    this.wall = el("div", { class: "wall" });
    this.view = el("div", { class: "items" }, this.head, this.wall);
    main.replaceChildren(this.view);
    this.grid = new ItemGrid(this.wall, {
      media: media(),
      side: kept.side,
      label: this.heading,
      onfocus: (row) => this.focused(row),
    });
    this.details = new Details(this.view);
    this.bar = document.getElementById("bar");
    this.drawBar = this.drawBar.bind(this);
    selection.listeners.add(this.drawBar);
    this.themed = () => this.grid.redraw();
    addEventListener("theme", this.themed);
    this.drawHead();
    this.keys();
    this.grid.box.focus({ preventScroll: true });
    this.load(false);
  }

  close() {
    selection.listeners.delete(this.drawBar);
    removeEventListener("theme", this.themed);
    selection.clear();
    this.bar.replaceChildren();
    this.grid.close();
    this.details.close();
  }

  get heading() {
    if (this.cluster !== null) return title(this.cluster);
    return { all: "Worth a look", rejected: "Rejected", search: `Files with “${this.words}”` }[this.which];
  }

  async load(keep) {
    const query = new URLSearchParams({ order: this.order, ...(this.words ? { q: this.words } : {}) });
    try {
      const rows = await getRows(`/api/rows/${this.which}?${query}`);
      this.grid.setRows(rows, keep);
      this.empty(rows.length);
    } catch (error) {
      toast(error.message, null, true);
      location.hash = "#/";
    }
  }

  empty(n) {
    const words =
      {
        all: "Everything has been decided on.",
        rejected: "Nothing is rejected. Press x on items that belong in no cluster.",
        search: "No file's path holds these words.",
      }[this.which] || "This cluster is empty.";
    this.wall.querySelector(".empty")?.remove();
    if (!n) this.wall.append(el("p", { class: "empty muted", text: words }));
    this.count.textContent = many(n, "item");
  }

  async refresh() {
    if (this.cluster !== null && !store.byId.has(this.cluster)) {
      location.hash = "#/";
      return;
    }
    this.drawHead();
    await this.load(true);
    if (!selection.size) return;
    const here = new Set(this.grid.rows);
    selection.set([...selection.rows].filter((row) => here.has(row)));
  }

  focused(row) {
    if (innerWidth >= NARROW || this.details.node.classList.contains("open")) this.details.show(row);
    else this.details.row = row;
  }

  // --------------------------------------------------------------------------------------------------------------- head

  drawHead() {
    const c = store.byId.get(this.cluster);
    this.count = el("span", { class: "muted" });
    const back = el("a", { class: "back", href: "#/", title: "Back to the clusters (Esc)", text: "← Clusters" });
    const parts = [back];
    if (c) {
      const swatch = el("span", { class: "swatch" });
      swatch.style.background = hue(c.id);
      const name = this.name?.isConnected && document.activeElement === this.name ? this.name : this.nameField(c.id);
      const facts = `${percent(c.agreement)} agree · ${percent(c.confidence)} sure${c.purity !== undefined && c.size ? ` · ${percent(c.purity)} pure (“${c.class}”)` : ""}`;
      parts.push(el("div", { class: "called" }, swatch, name), this.count, el("span", { class: "muted wide", text: facts }));
    } else parts.push(el("h1", { text: this.heading }), this.count);
    const order =
      this.which === "search"
        ? null
        : el(
            "div",
            { class: "switch", role: "group", "aria-label": "Order" },
            ...[
              ["typical", "Most typical"],
              ["unsure", "Least sure"],
            ].map(([value, text]) =>
              el("button", {
                type: "button",
                "aria-pressed": String(this.order === value),
                text,
                title: `${text} first (o)`,
                onclick: () => this.setOrder(value),
              }),
            ),
          );
    const size = el(
      "label",
      { class: "size", title: "Size of the tiles (+ and -)" },
      el("span", { class: "unseen", text: "Size of the tiles" }),
      el("input", {
        type: "range",
        min: "48",
        max: "240",
        step: "8",
        value: String(kept.side),
        oninput: (event) => this.setSide(Number(event.target.value)),
      }),
    );
    const tools = [order, size];
    if (c)
      tools.push(
        button("Split", "Split this cluster (s)", () => this.split()),
        button("Merge", "Merge this cluster into another (m)", () => this.merge()),
      );
    this.head.replaceChildren(...parts, el("div", { class: "tools" }, tools));
    if (this.grid) this.count.textContent = many(this.grid.rows.length, "item");
  }

  nameField(id) {
    const field = nameField(id, "name big");
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") field.callOff();
      if (event.key === "Enter" || event.key === "Escape") {
        event.stopPropagation();
        this.grid.box.focus();
      }
    });
    this.name = field;
    return field;
  }

  setOrder(order) {
    this.order = order;
    if (this.cluster !== null) kept.order = order;
    this.drawHead();
    this.load(false);
  }

  setSide(side) {
    kept.side = Math.max(48, Math.min(240, side));
    this.grid.setSide(kept.side);
    this.head.querySelector("input[type=range]").value = String(kept.side);
  }

  // ------------------------------------------------------------------------------------------------------------ actions

  drawBar() {
    drawActions(this.bar, { rejected: this.which === "rejected", ondetails: () => this.openDetails() });
  }

  openDetails() {
    this.details.node.classList.toggle("open");
    this.details.show(this.grid.rows[this.grid.focus]);
  }

  async split() {
    if (await splitAsked(this.cluster))
      toast(`${title(this.cluster)} is split; the new clusters are in the overview.`, ["Undo", () => edit({ do: "undo" })]);
  }

  async merge() {
    const other = await chooseCluster(`Merge ${title(this.cluster)} into`, { without: [this.cluster] });
    if (other && (await edit({ do: "merge", clusters: [other.id, this.cluster], into: other.id })))
      location.hash = `#/cluster/${other.id}`;
  }

  neighbour(step) {
    const ids = store.overview.clusters.filter((c) => c.size).map((c) => c.id);
    if (ids.length) location.hash = `#/cluster/${ids[(ids.indexOf(this.cluster) + step + ids.length) % ids.length]}`;
  }

  // An action without a selection is on the item that the keyboard is at.
  orFocus() {
    if (!selection.size && this.grid.rows.length) selection.add([this.grid.rows[this.grid.focus]]);
    return selection.size > 0;
  }

  keys() {
    const list = [
      key("Arrows", "go from item to item"),
      key("shift+Arrows", "select on the way"),
      key(" ", "select the item, or not"),
      key("mod+a", "select all"),
      key("v", "move the selected items to another cluster, or a new one", () => this.orFocus() && moveSelected()),
      this.which === "rejected"
        ? key("r", "restore the selected items", () => this.orFocus() && restoreSelected())
        : key(["x", "Delete"], "reject the selected items: they belong in no cluster", () => this.orFocus() && rejectSelected()),
      key("o", "change the order: most typical or least sure first", () =>
        this.setOrder(this.order === "unsure" ? "typical" : "unsure"),
      ),
      key(["+", "="], "larger tiles", () => this.setSide(kept.side + 16)),
      key("-", "smaller tiles", () => this.setSide(kept.side - 16)),
      key("d", "show or hide the details", () => this.openDetails()),
      key("Escape", "select none; then back to the clusters", () =>
        selection.size ? selection.clear() : (location.hash = "#/"),
      ),
    ];
    if (media() !== "image") list.push(key("p", "play the item with its sound, or stop", () => this.grid.playFocus()));
    if (this.cluster !== null)
      list.push(
        key("n", "name the cluster", () => {
          const name = this.head.querySelector("input.name");
          name.focus();
          name.select();
        }),
        key("s", "split the cluster", () => this.split()),
        key("m", "merge the cluster into another", () => this.merge()),
        key("]", "next cluster", () => this.neighbour(1)),
        key("[", "cluster before", () => this.neighbour(-1)),
      );
    setKeys("Items", list);
  }
}

// ---------------------------------------------------------------------------------------- what can be done with a selection

export function drawActions(bar, { rejected = false, ondetails = null } = {}) {
  if (!selection.size) return bar.replaceChildren();
  const fitting = rejected
    ? button("Restore", "r", restoreSelected, "main")
    : button("Move to …", "v", moveSelected, "main");
  bar.replaceChildren(
    el(
      "div",
      { class: "actions", role: "toolbar", "aria-label": "What to do with the selected items" },
      el("b", { text: `${number(selection.size)} selected` }),
      fitting,
      rejected
        ? button("Move to …", "v", moveSelected)
        : button("Reject", "x: they belong in no cluster", rejectSelected),
      ondetails && innerWidth < NARROW ? button("Details", "d", ondetails) : null,
      button("Clear", "Esc", () => selection.clear()),
    ),
  );
}

// What is sent off is selected no more, so that the next key is about something else; a refusal brings it back.
async function onSelected(make) {
  const items = [...selection.rows].sort((a, b) => a - b);
  selection.clear();
  if (await edit(make(items))) return true;
  selection.set(items);
  return false;
}

export async function moveSelected() {
  const likely = post("/api/likely", { items: [...selection.rows] }).catch(() => ({ clusters: [], within: null })); // without it, the usual order
  const to = await chooseCluster(`Move ${selection.words} to`, { fresh: true, likely });
  if (to && (await onSelected((items) => ({ do: "move", items, to: to.id }))) && to.isNew && to.name)
    await edit({ do: "name", cluster: to.id, name: to.name });
}

export const rejectSelected = () => onSelected((items) => ({ do: "reject", items }));
const restoreSelected = () => onSelected((items) => ({ do: "restore", items }));
