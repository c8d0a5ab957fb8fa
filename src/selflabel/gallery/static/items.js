// The second view: the items of a cluster, of a search, the rejected ones, those that fit no cluster, or all without a decision, with the least sure first.

import { mergeIntoOther, moveSelected, rejectItems, rejectSelected, restoreSelected, splitCluster, undo } from "./actions.js";
import { getRows } from "./api.js";
import { Details } from "./details.js";
import { el } from "./dom.js";
import { ItemGrid } from "./grid.js";
import { ItemsHeader, MAX_SIDE, MIN_SIDE } from "./items-header.js";
import { key, setViewKeys } from "./keys.js";
import { switchCrop, switchDrawn } from "./photo-parts.js";
import { kindsOfPieces } from "./pieces.js";
import { NARROW_PX, drawSelectionBar } from "./selection-bar.js";
import { selection } from "./selection.js";
import { OUTLIERS, clusterTitle, inUse, mainModality, onChange, store } from "./store.js";
import { showToast } from "./toast.js";

const settings = { side: innerWidth < 700 ? 78 : 96, clusterOrder: "typical" }; // kept while the page is open
const LIST_ORDERS = { all: "unsure", rejected: "row", outliers: "row", search: "row" };
const SIDE_STEP = 16;

// list: a cluster's number as text, "all", "rejected", "outliers" or "search"; query: what is searched for; row: the item to go
// to, as text. Returns a function that closes it.
export function showItems(main, list, { query = "", row = "" } = {}) {
  const view = new Items(main, list, query);
  view.load(false).then(() => row && view.grid.goToRow(Number(row)));
  const stop = onChange(() => view.refresh());
  return () => {
    stop();
    view.close();
  };
}

class Items {
  listed = 0; // items of the list, of which the score filter hides some
  isSliding = false; // its minimum is being changed

  constructor(main, list, query) {
    Object.assign(this, { list, query, order: LIST_ORDERS[list] ?? settings.clusterOrder });
    this.cluster = /^\d+$/.test(list) ? Number(list) : null;
    this.header = this.makeHeader();
    this.wall = el("div", { class: "wall" });
    this.node = el("div", { class: "items" }, this.header.node, this.wall);
    main.replaceChildren(this.node);
    this.grid = new ItemGrid(this.wall, {
      modality: mainModality(),
      side: settings.side,
      label: this.heading,
      onfocus: (row) => this.onFocus(row),
    });
    this.details = new Details(this.node, (row) => this.grid.goToRow(row) || this.details.show(row));
    this.node.classList.toggle("ofpieces", Boolean(kindsOfPieces()));
    this.bar = document.getElementById("bar");
    this.drawBar = this.drawBar.bind(this);
    selection.listeners.add(this.drawBar);
    addEventListener("theme", this.grid.redraw);
    this.drawHeader();
    this.setKeys();
    this.grid.box.focus({ preventScroll: true });
  }

  makeHeader() {
    return new ItemsHeader(this.cluster, kindsOfPieces(), {
      onorder: (order) => this.setOrder(order),
      onside: (side) => this.setSide(side),
      onsplit: () => this.split(),
      onmerge: () => this.merge(),
      ondone: () => this.grid.box.focus(),
      onchange: () => this.onMinimum(),
      onload: () => this.load(true),
      onreject: (rows) => rejectItems(rows),
    });
  }

  close() {
    selection.listeners.delete(this.drawBar);
    removeEventListener("theme", this.grid.redraw);
    selection.clear();
    this.bar.replaceChildren();
    this.grid.close();
    this.details.close();
  }

  get heading() {
    if (this.cluster !== null) return clusterTitle(this.cluster);
    return { all: "Worth a look", rejected: "Rejected", outliers: OUTLIERS, search: `Files with “${this.query}”` }[this.list];
  }

  // Whether the listed items are in no cluster.
  get isOfNone() {
    return this.list === "rejected" || this.list === "outliers";
  }

  // ------------------------------------------------------------------------------------------------------------ loading

  async load(keepPlace) {
    const isMixed = this.cluster === null && !this.isOfNone; // of several clusters, which the tiles then name
    const { filter } = this.header;
    const query = new URLSearchParams({
      order: this.order,
      ...(this.query && { q: this.query }),
      ...(isMixed && { labels: "true" }),
      ...(filter && { by: filter.by }),
    });
    try {
      const { rows, labels, scores } = await getRows(`/api/rows/${this.list}?${query}`);
      Object.assign(this, { rows, scores });
      this.showFiltered(keepPlace, labels);
      this.showEmpty(rows.length === 0);
    } catch (error) {
      showToast(error.message, null, true);
      location.hash = "#/";
    }
  }

  // The item that stays in focus is not loaded again while the slider moves.
  onMinimum() {
    this.isSliding = true;
    this.showFiltered(true, null);
    this.isSliding = false;
  }

  // Those of the list that the score filter leaves, where there is one. Hidden items are selected no more.
  showFiltered(keepPlace, labels) {
    const { filter } = this.header,
      shown = filter ? filter.filter(this.rows, this.scores) : this.rows;
    this.listed = this.rows.length;
    this.grid.setRows(shown, keepPlace, labels);
    this.header.setCount(shown.length, this.listed);
    if (filter) this.selectShownOnly();
  }

  selectShownOnly() {
    if (!selection.size) return;
    const shownRows = new Set(this.grid.rows);
    selection.set([...selection.rows].filter((row) => shownRows.has(row)));
  }

  showEmpty(isEmpty) {
    const text = {
      all: "Everything has been decided on.",
      rejected: "Nothing is rejected. Press x on items that belong in no cluster.",
      outliers: "Every item has a cluster, or was decided on.",
      search: "No file's path holds these words.",
    }[this.list];
    this.wall.querySelector(".empty")?.remove();
    if (isEmpty) this.wall.append(el("p", { class: "empty muted", text: text || "This cluster is empty, so it is listed nowhere; undo (u) brings its items back." }));
  }

  // After an edit. Items that have left the list are selected no more.
  async refresh() {
    if (this.cluster !== null && !store.clustersById.has(this.cluster)) {
      location.hash = "#/";
      return;
    }
    this.drawHeader();
    await this.load(true);
    this.selectShownOnly();
  }

  drawHeader() {
    const order = this.list === "search" ? null : this.order;
    this.header.draw({ heading: this.heading, count: [this.grid.rows.length, this.listed], order, side: settings.side });
  }

  setOrder(order) {
    this.order = order;
    if (this.cluster !== null) settings.clusterOrder = order;
    this.drawHeader();
    this.load(false);
  }

  setSide(side) {
    settings.side = Math.max(MIN_SIDE, Math.min(MAX_SIDE, side));
    this.grid.setSide(settings.side);
    this.header.setSide(settings.side);
  }

  // ------------------------------------------------------------------------------------------------------------ details

  // On a narrow window the details cover the grid, so they are shown only when they are asked for.
  onFocus(row) {
    if (this.isSliding && row === this.details.row) return;
    if (innerWidth >= NARROW_PX || this.details.node.classList.contains("open")) this.details.show(row);
    else this.details.row = row;
  }

  toggleDetails() {
    this.details.node.classList.toggle("open");
    this.details.show(this.grid.rows[this.grid.focus]);
  }

  // ------------------------------------------------------------------------------------------------------------ actions

  drawBar() {
    const { isOfNone: canRestore, list } = this;
    drawSelectionBar(this.bar, { canRestore, canReject: list !== "rejected", ondetails: () => this.toggleDetails() });
  }

  async split() {
    if (await splitCluster(this.cluster))
      showToast(`${clusterTitle(this.cluster)} is split; the new clusters are in the overview.`, ["Undo", undo]);
  }

  async merge() {
    const into = await mergeIntoOther(this.cluster);
    if (into !== null) location.hash = `#/cluster/${into}`;
  }

  goToCluster(step) {
    const ids = inUse().map((c) => c.id);
    if (ids.length) location.hash = `#/cluster/${ids[(ids.indexOf(this.cluster) + step + ids.length) % ids.length]}`;
  }

  // Where nothing is selected, an action applies to the item that the keyboard is at.
  onSelected(action) {
    if (!selection.size && this.grid.rows.length) selection.add([this.grid.rows[this.grid.focus]]);
    if (selection.size) action();
  }

  // --------------------------------------------------------------------------------------------------------------- keys

  setKeys() {
    setViewKeys("Items", [
      ...this.itemKeys(),
      ...(mainModality() === "image" ? [] : [this.playKey()]),
      ...(kindsOfPieces()?.boxes ? this.boxKeys() : []),
      ...(this.header.filter ? [key("f", "the least score that is shown", () => this.header.filter.focus())] : []),
      ...(this.cluster === null ? [] : this.clusterKeys()),
    ]);
  }

  itemKeys() {
    const move = () => this.onSelected(moveSelected);
    const changeOrder = () => this.setOrder(this.order === "unsure" ? "typical" : "unsure");
    const clearOrLeave = () => (selection.size ? selection.clear() : (location.hash = "#/"));
    return [
      key("Arrows", "go from item to item"),
      key("shift+Arrows", "select on the way"),
      key(" ", "select the item, or not"),
      key("mod+a", "select all"),
      key("v", "move the selected items to another cluster, or a new one", move),
      ...(this.isOfNone ? [this.restoreKey()] : []),
      ...(this.list === "rejected" ? [] : [this.rejectKey()]),
      key("o", "change the order: most typical or least sure first", changeOrder),
      key(["+", "="], "larger tiles", () => this.setSide(settings.side + SIDE_STEP)),
      key("-", "smaller tiles", () => this.setSide(settings.side - SIDE_STEP)),
      key("d", "show or hide the details", () => this.toggleDetails()),
      key("Escape", "select none; then back to the clusters", clearOrLeave),
    ];
  }

  rejectKey() {
    const reject = () => this.onSelected(rejectSelected);
    return key(["x", "Delete"], "reject the selected items: they belong in no cluster", reject);
  }

  restoreKey() {
    return key("r", "put the selected items into the cluster that they had, or are nearest to", () => this.onSelected(restoreSelected));
  }

  playKey() {
    return key("p", "play the item with its sound, or stop", () => this.grid.playFocus());
  }

  boxKeys() {
    return [key("c", "the whole photo, or the crop", switchCrop), key("b", "show or hide boxes and masks", switchDrawn)];
  }

  clusterKeys() {
    return [
      key("n", "name the cluster", () => this.header.editName()),
      key("s", "split the cluster", () => this.split()),
      key("m", "merge the cluster into another", () => this.merge()),
      key("]", "next cluster", () => this.goToCluster(1)),
      key("[", "cluster before", () => this.goToCluster(-1)),
    ];
  }
}
