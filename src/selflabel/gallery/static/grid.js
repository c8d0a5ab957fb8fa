// A wall of items on one canvas, however many: only what is in sight is drawn. Select by click, shift-click, a rectangle drawn
// with the mouse, or the keyboard. Films play while the pointer rests on them.

import { colour, el, number, sized } from "./dom.js";
import { selection } from "./store.js";
import { drawTile, forget, wish } from "./thumbs.js";

const GAP = 6,
  FOOT = 72; // below the last line, for the bar of actions
const TALLEST = 12_000_000; // browsers lose precision in taller boxes: from there on the scroll bar is scaled
const DRAG_PX = 6,
  REST_MS = 180,
  RIM = 4; // of a tile, left bare by a film so that its mark of selection shows
let count = 0;

export class ItemGrid {
  rows = new Int32Array(0);
  focus = 0;
  anchor = 0;
  columns = 1;
  side = 96;

  // media: "image", "video" or "audio", what the items are. onfocus(row): the item that the keyboard is at.
  constructor(host, { media = "image", side = 96, label = "Items", onfocus = () => {}, onopen = () => {} } = {}) {
    Object.assign(this, { media, wished: side, onfocus, onopen });
    this.id = `grid${count++}`;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.option = el("div", { id: `${this.id}-at`, role: "option", class: "unseen" });
    this.space = el("div", { class: "space" });
    this.box = el(
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
    host.append(this.box);
    this.listen();
    this.redraw = this.redraw.bind(this);
    selection.listeners.add(this.redraw);
    this.watcher = new ResizeObserver(() => this.layout());
    this.watcher.observe(this.box);
  }

  close() {
    selection.listeners.delete(this.redraw);
    this.watcher.disconnect();
    forget(this);
    this.stopFilm();
  }

  setRows(rows, keep = false) {
    const at = this.rows[this.focus];
    this.rows = rows;
    this.focus = keep ? Math.max(0, Math.min(rows.indexOf(at) >= 0 ? rows.indexOf(at) : this.focus, rows.length - 1)) : 0;
    this.anchor = this.focus;
    if (!keep) this.box.scrollTop = 0;
    this.layout();
    this.tell();
  }

  setSide(side) {
    this.wished = side;
    const first = this.first;
    this.layout();
    this.scrollToLine(Math.floor(first / this.columns));
  }

  // ------------------------------------------------------------------------------------------------ where things are

  layout() {
    const width = this.box.clientWidth - 2 * GAP;
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.wished + GAP)));
    this.side = (width + GAP) / this.columns - GAP;
    this.step = this.side + GAP;
    this.lines = Math.ceil(this.rows.length / this.columns);
    this.full = this.lines * this.step + GAP + FOOT;
    this.height = this.box.clientHeight;
    const shown = Math.min(this.full, TALLEST);
    this.ratio = shown > this.height ? (this.full - this.height) / (shown - this.height) : 1;
    this.space.style.height = `${Math.max(0, shown - this.height)}px`;
    this.redraw();
  }

  get top() {
    return this.box.scrollTop * this.ratio;
  }
  get first() {
    return Math.max(0, Math.floor((this.top - GAP) / this.step)) * this.columns;
  }

  place(index) {
    const line = Math.floor(index / this.columns);
    return { x: GAP + (index % this.columns) * this.step, y: GAP + line * this.step - this.top };
  }

  indexAt(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left - GAP,
      y = event.clientY - bounds.top + this.top - GAP;
    const column = Math.floor(x / this.step),
      index = Math.floor(y / this.step) * this.columns + column;
    const inTile = column >= 0 && column < this.columns && y >= 0 && x % this.step < this.side && y % this.step < this.side;
    return inTile && index < this.rows.length ? index : -1;
  }

  scrollToLine(line) {
    this.box.scrollTop = (line * this.step) / this.ratio;
  }

  show(index) {
    const line = Math.floor(index / this.columns),
      y = line * this.step;
    if (y < this.top) this.box.scrollTop = y / this.ratio;
    else if (y + this.step + GAP > this.top + this.height) this.box.scrollTop = (y + this.step + GAP - this.height) / this.ratio;
  }

  // ---------------------------------------------------------------------------------------------------------- drawing

  redraw() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.draw();
    });
  }

  draw() {
    const width = this.box.clientWidth;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${this.height}px`;
    const g = sized(this.canvas, width, this.height);
    g.clearRect(0, 0, width, this.height);
    const last = Math.min(this.rows.length, this.first + (Math.ceil(this.height / this.step) + 1) * this.columns);
    const look = { accent: colour("accent"), on: colour("on-accent"), ring: colour("ink"), surface: colour("surface") };
    for (let i = this.first; i < last; i++) this.drawItem(g, i, look);
    if (this.band) this.drawBand(g, look);
    wish(this, [...this.rows.subarray(this.first, last), ...this.rows.subarray(last, last + 2 * this.columns)], this.redraw);
  }

  drawItem(g, index, look) {
    const { x, y } = this.place(index),
      row = this.rows[index],
      side = this.side;
    drawTile(g, row, x, y, side);
    if (selection.has(row)) {
      g.strokeStyle = look.accent;
      g.lineWidth = 4;
      g.strokeRect(x + 2, y + 2, side - 4, side - 4);
      g.fillStyle = look.accent;
      g.beginPath();
      g.arc(x + 15, y + 15, 9, 0, 7);
      g.fill();
      g.strokeStyle = look.on;
      g.lineWidth = 2;
      g.beginPath();
      g.moveTo(x + 11, y + 15);
      g.lineTo(x + 14, y + 18.5);
      g.lineTo(x + 19.5, y + 11.5);
      g.stroke();
    }
    if (index === this.focus && this.box.matches(":focus-visible")) {
      g.strokeStyle = look.surface;
      g.lineWidth = 5;
      g.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
      g.strokeStyle = look.ring;
      g.lineWidth = 2.5;
      g.strokeRect(x - 1.5, y - 1.5, side + 3, side + 3);
    }
  }

  drawBand(g, look) {
    const { x0, y0, x1, y1 } = this.band;
    g.strokeStyle = look.accent;
    g.lineWidth = 1.5;
    g.setLineDash([5, 4]);
    g.strokeRect(Math.min(x0, x1), Math.min(y0, y1) - this.top, Math.abs(x1 - x0), Math.abs(y1 - y0));
    g.setLineDash([]);
  }

  // ------------------------------------------------------------------------------------------------- keyboard, pointer

  listen() {
    const box = this.box;
    box.addEventListener(
      "scroll",
      () => {
        this.stopFilm();
        this.redraw();
      },
      { passive: true },
    );
    box.addEventListener("focus", () => this.redraw());
    box.addEventListener("blur", () => this.redraw());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("pointerdown", (event) => this.down(event));
    box.addEventListener("pointermove", (event) => this.move(event));
    box.addEventListener("pointerup", (event) => this.up(event));
    box.addEventListener("pointercancel", () => {
      this.pressed = this.band = null;
      this.redraw();
    });
    box.addEventListener("pointerleave", () => this.stopFilm());
    box.addEventListener("dblclick", (event) => {
      const i = this.indexAt(event);
      if (i >= 0) this.onopen(this.rows[i]);
    });
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.height / this.step)) * this.columns;
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -this.columns,
      ArrowDown: this.columns,
      PageUp: -page,
      PageDown: page,
      Home: -1e9,
      End: 1e9,
    };
    if (event.ctrlKey || event.metaKey) {
      if (event.key.toLowerCase() === "a") {
        event.preventDefault();
        selection.add(this.rows);
      }
      return;
    }
    if (event.altKey || !this.rows.length) return;
    if (event.key in steps) {
      event.preventDefault();
      this.goTo(Math.max(0, Math.min(this.rows.length - 1, this.focus + steps[event.key])), event.shiftKey);
    } else if (event.key === " ") {
      event.preventDefault();
      this.anchor = this.focus;
      selection.toggle(this.rows[this.focus]);
      this.tell();
    }
  }

  goTo(index, extend) {
    this.focus = index;
    if (extend) selection.add(this.between(this.anchor, index));
    else this.anchor = index;
    this.show(index);
    this.redraw();
    this.tell();
  }

  between(a, b) {
    return this.rows.subarray(Math.min(a, b), Math.max(a, b) + 1);
  }

  // What a screen reader says, and who follows the focus.
  tell() {
    const row = this.rows[this.focus];
    this.option.textContent =
      row === undefined ? "no items" : `item ${row}, ${number(this.focus + 1)} of ${number(this.rows.length)}`;
    this.option.setAttribute("aria-selected", String(selection.has(row)));
    this.onfocus(row);
  }

  down(event) {
    if (event.button || event.target.closest("button")) return;
    const bounds = this.canvas.getBoundingClientRect();
    this.pressed = { x: event.clientX - bounds.left, y: event.clientY - bounds.top + this.top, index: this.indexAt(event) };
  }

  move(event) {
    if (!this.pressed || event.pointerType === "touch") return event.pointerType === "touch" ? undefined : this.rest(event);
    const bounds = this.canvas.getBoundingClientRect(),
      { x, y } = this.pressed;
    const x1 = event.clientX - bounds.left,
      y1 = event.clientY - bounds.top + this.top;
    if (!this.band && Math.hypot(x1 - x, y1 - y) < DRAG_PX) return;
    if (!this.band) this.box.setPointerCapture(event.pointerId);
    this.band = { x0: x, y0: y, x1, y1 };
    if (event.clientY > bounds.bottom - 24) this.box.scrollTop += 18;
    if (event.clientY < bounds.top + 24) this.box.scrollTop -= 18;
    this.redraw();
  }

  up(event) {
    if (!this.pressed) return;
    const { index } = this.pressed,
      band = this.band;
    this.pressed = this.band = null;
    if (band) {
      selection.add(this.touched(band));
      this.redraw();
    } else if (index >= 0 && index === this.indexAt(event)) {
      this.focus = index;
      if (event.shiftKey) selection.add(this.between(this.anchor, index));
      else {
        this.anchor = index;
        selection.toggle(this.rows[index]);
      }
      this.tell();
    }
  }

  touched({ x0, y0, x1, y1 }) {
    const column = (x) => Math.max(0, Math.min(this.columns - 1, Math.floor((x - GAP) / this.step)));
    const line = (y) => Math.max(0, Math.floor((y - GAP) / this.step));
    const found = [];
    for (let l = line(Math.min(y0, y1)); l <= line(Math.max(y0, y1)); l++)
      for (let c = column(Math.min(x0, x1)); c <= column(Math.max(x0, x1)); c++) {
        const index = l * this.columns + c;
        if (index < this.rows.length) found.push(this.rows[index]);
      }
    return found;
  }

  // ------------------------------------------------------------------------------------------------------------ films

  rest(event) {
    if (this.media === "image" || event.target.closest("video, button")) return;
    const index = this.indexAt(event);
    if (this.film?.index === index) return;
    this.stopFilm();
    if (index >= 0) this.resting = setTimeout(() => this.play(index), REST_MS);
  }

  // Plays an item in its tile: a film without sound until its button is pressed, a sound once it is.
  play(index, loud = false) {
    this.stopFilm();
    const row = this.rows[index],
      { x, y } = this.place(index),
      isFilm = this.media === "video";
    const player = el(isFilm ? "video" : "audio", {
      src: `/media/${row}/${this.media}`,
      loop: isFilm,
      muted: !loud,
      preload: "auto",
      playsinline: true,
    });
    const sound = el("button", { type: "button", class: "sound", text: "♪", onclick: () => toggle() });
    const say = () => {
      const silent = player.muted || player.paused;
      sound.title = silent ? "Play with sound (p)" : "Silence (p)";
      sound.setAttribute("aria-label", "Sound");
      sound.setAttribute("aria-pressed", String(!silent));
    };
    const toggle = () => {
      if (isFilm) player.muted = !player.muted;
      else {
        player.muted = false;
        player.paused ? player.play().catch(() => {}) : player.pause();
      }
      say();
    };
    for (const happened of ["play", "pause", "volumechange", "ended"]) player.addEventListener(happened, say);
    const frame = el("div", { class: "film" }, player, sound);
    const side = `${this.side - 2 * RIM}px`;
    Object.assign(frame.style, { left: `${x + RIM}px`, top: `${y + RIM + this.box.scrollTop}px`, width: side, height: side });
    player.addEventListener("error", () => {
      frame.replaceChildren(el("span", { class: "cannot", text: "cannot be played by this browser" }));
    });
    this.film = { index, frame, player, toggle };
    this.box.append(frame);
    if (isFilm || loud) player.play().catch(() => {});
    say();
  }

  playFocus() {
    if (this.media === "image" || !this.rows.length) return;
    if (this.film?.index === this.focus) return this.film.toggle();
    this.show(this.focus);
    requestAnimationFrame(() => this.play(this.focus, true));
  }

  stopFilm() {
    clearTimeout(this.resting);
    this.film?.player.pause();
    this.film?.frame.remove();
    this.film = null;
  }
}
