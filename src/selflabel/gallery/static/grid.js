// A grid of any number of items on one canvas: only what is in the window is drawn. Items are selected by click, Shift and click, a
// rectangle drawn with the mouse, or the keyboard. Videos play while the pointer rests on them.

import { clusterColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { formatNumber, shortSpan } from "./format.js";
import { drawFocusRing, drawLocator, drawRectangle, drawSelectionMark, drawTileLabel } from "./grid-drawing.js";
import { GridLayout } from "./grid-layout.js";
import { GridPointer } from "./grid-pointer.js";
import { pieceOf, pieceTitle, requestPieces } from "./pieces.js";
import { selection } from "./selection.js";
import { clusterTitle } from "./store.js";
import { TilePlayer } from "./tile-player.js";
import { cancelRequests, drawTile, requestPictures } from "./thumbs.js";

const LINES_AHEAD = 2; // below the window, whose pictures are loaded too
let gridCount = 0;

export class ItemGrid {
  rows = new Int32Array(0);
  focus = 0; // index of the item that the keyboard is at
  anchor = 0; // index from which Shift extends the selection
  hovered = -1; // index of the tile under the pointer

  // modality: what the items are shown as. side: the least of a tile, in pixels. onfocus(row): the keyboard is at another item.
  constructor(host, { modality = "image", side = 96, label = "Items", onfocus = () => {} } = {}) {
    this.onfocus = onfocus;
    this.id = `grid${gridCount++}`;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    // A screen reader knows of one item: that at which the keyboard is.
    this.option = el("div", { id: `${this.id}-at`, role: "option", class: "unseen" });
    this.space = el("div", { class: "space" });
    this.box = this.makeBox(label);
    host.append(this.box);
    this.layout = new GridLayout(this.box, side);
    this.player = new TilePlayer(this.box, modality);
    this.listen();
    this.pointer = new GridPointer(this);
    this.redraw = this.redraw.bind(this);
    selection.listeners.add(this.redraw);
    this.resizeObserver = new ResizeObserver(() => this.updateLayout());
    this.resizeObserver.observe(this.box);
  }

  makeBox(label) {
    return el(
      "div",
      {
        class: "grid",
        tabindex: "0",
        role: "listbox",
        "aria-multiselectable": "true",
        "aria-label": label,
        "aria-activedescendant": this.option.id,
      },
      this.option,
      this.canvas,
      this.space,
    );
  }

  close() {
    selection.listeners.delete(this.redraw);
    this.resizeObserver.disconnect();
    cancelRequests(this);
    this.pointer.stopPlaying();
  }

  // keepPlace: the items are nearly the same as before, so that the focus and the scroll position stay. labels: each item's cluster,
  // for its tile to name; null where all are in one.
  setRows(rows, keepPlace = false, labels = null) {
    const focusedRow = this.rows[this.focus];
    Object.assign(this, { rows, labels });
    this.focus = keepPlace ? this.nearIndex(focusedRow) : 0;
    this.anchor = this.focus;
    if (!keepPlace) this.box.scrollTop = 0;
    this.updateLayout();
    this.announceFocus();
  }

  // Where a row is now; the same index as before where it is gone.
  nearIndex(row) {
    const index = this.rows.indexOf(row);
    return Math.max(0, Math.min(index >= 0 ? index : this.focus, this.rows.length - 1));
  }

  setSide(side) {
    const { first } = this.layout;
    this.layout.targetSide = side;
    this.updateLayout();
    this.layout.scrollToLine(this.layout.lineOf(first));
  }

  updateLayout() {
    this.layout.update(this.rows.length);
    this.space.style.height = `${this.layout.spaceHeight}px`;
    this.redraw();
  }

  // ---------------------------------------------------------------------------------------------------------- drawing

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const { layout } = this,
      width = this.box.clientWidth;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${layout.height}px`;
    const g = scaledContext(this.canvas, width, layout.height);
    g.clearRect(0, 0, width, layout.height);
    const { first, last } = layout;
    for (let i = first; i < last; i++) this.drawItem(g, i);
    const { rectangle } = this.pointer;
    if (rectangle) drawRectangle(g, { ...rectangle, y0: rectangle.y0 - layout.top, y1: rectangle.y1 - layout.top });
    const near = [...this.rows.subarray(first, last + LINES_AHEAD * layout.columns)];
    requestPictures(this, near, this.redraw);
    requestPieces(near, () => this.onPieces());
  }

  drawItem(g, index) {
    const { x, y, side } = this.layout.place(index);
    drawTile(g, this.rows[index], x, y, side);
    if (this.labels) drawTileLabel(g, clusterTitle(this.labels[index]), clusterColour(this.labels[index]), x, y, side);
    this.drawPlace(g, index, { x, y, side });
    if (selection.has(this.rows[index])) drawSelectionMark(g, x, y, side);
    if (index === this.focus && this.box.matches(":focus-visible")) drawFocusRing(g, x, y, side);
  }

  // Of a piece of a file: its time along the foot of the tile; and where it lies in its photo, for the tiles that are looked at.
  drawPlace(g, index, { x, y, side }) {
    const piece = pieceOf(this.rows[index]);
    if (piece?.span) drawTileLabel(g, shortSpan(piece.span), null, x, y, side, this.labels ? 1 : 0);
    const isLookedAt = index === this.hovered || index === this.focus || selection.has(this.rows[index]);
    if (piece?.box && isLookedAt) drawLocator(g, piece, x, y, side);
  }

  onPieces() {
    this.redraw();
    this.describeFocus();
  }

  hover(index) {
    if (index === this.hovered) return;
    this.hovered = index;
    if (pieceOf(this.rows[index])?.box || this.hovered < 0) this.redraw();
  }

  // -------------------------------------------------------------------------------------------------- focus, selection

  listen() {
    const onscroll = () => {
      this.pointer.stopPlaying();
      this.redraw();
    };
    this.box.addEventListener("scroll", onscroll, { passive: true });
    this.box.addEventListener("focus", () => this.redraw());
    this.box.addEventListener("blur", () => this.redraw());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() === "a") {
        event.preventDefault();
        selection.add(this.rows);
      }
      return;
    }
    if (event.altKey || !this.rows.length) return;
    const { columns, itemsPerPage } = this.layout;
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      PageUp: -itemsPerPage,
      PageDown: itemsPerPage,
      Home: -this.rows.length,
      End: this.rows.length,
    };
    if (event.key in steps) {
      event.preventDefault();
      this.goTo(Math.max(0, Math.min(this.rows.length - 1, this.focus + steps[event.key])), event.shiftKey);
    } else if (event.key === " ") {
      event.preventDefault();
      this.toggle(this.focus);
    }
  }

  goTo(index, isExtending) {
    this.focus = index;
    if (isExtending) this.selectTo(index);
    else this.anchor = index;
    this.layout.scrollTo(index);
    this.redraw();
    this.announceFocus();
  }

  click(index, withShift) {
    this.focus = index;
    if (!withShift) return this.toggle(index);
    this.selectTo(index);
    this.announceFocus();
  }

  toggle(index) {
    this.anchor = index;
    selection.toggle(this.rows[index]);
    this.announceFocus();
  }

  // Adds the items from the anchor on.
  selectTo(index) {
    selection.add(this.rows.subarray(Math.min(this.anchor, index), Math.max(this.anchor, index) + 1));
  }

  select(indices) {
    selection.add(indices.map((index) => this.rows[index]));
  }

  // Tells screen readers, and whoever shows the item's details.
  announceFocus() {
    this.describeFocus();
    this.onfocus(this.rows[this.focus]);
  }

  describeFocus() {
    const row = this.rows[this.focus],
      count = formatNumber(this.rows.length),
      piece = pieceTitle(pieceOf(row));
    const cluster = this.labels && row !== undefined ? `, in ${clusterTitle(this.labels[this.focus])}` : "";
    const text = `item ${row}, ${formatNumber(this.focus + 1)} of ${count}${cluster}${piece && `, ${piece}`}`;
    this.option.textContent = row === undefined ? "no items" : text;
    this.option.setAttribute("aria-selected", String(selection.has(row)));
  }

  // Goes to a row, if it is listed here; whether it is.
  goToRow(row) {
    const index = this.rows.indexOf(row);
    if (index >= 0) this.goTo(index, false);
    return index >= 0;
  }

  // ---------------------------------------------------------------------------------------------------------- playing

  play(index, withSound = false) {
    this.pointer.stopPlaying();
    this.player.play(index, this.rows[index], this.layout.place(index), withSound);
  }

  // Plays the item that the keyboard is at, with sound; a second call silences it.
  playFocus() {
    if (!this.player.canPlay || !this.rows.length) return;
    if (this.player.index === this.focus) return this.player.toggleSound();
    this.layout.scrollTo(this.focus);
    // Scrolling stops what plays, and its event comes with the next frame.
    requestAnimationFrame(() => this.play(this.focus, true));
  }
}
