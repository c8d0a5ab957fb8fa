// The items of one recording or film on a line, in the colours of their clusters: a click opens one, and so do the arrow keys.

import { clusterColour, themeColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { clock, clockSpan, formatNumber, plural } from "./format.js";
import { clusterTitle } from "./store.js";

const HEIGHT = 26,
  MARK_HEIGHT = 5, // of the mark of the item itself, above and below its colour
  LEAST_PX = 3; // width of that mark

export class Timeline {
  // parts: { rows, labels, spans } of one file, in the order of their starts. row: the item that is shown. range: [from, to] in
  // seconds. onopen(row). isWhole: it shows the whole file, and is the one that the keyboard reaches.
  constructor(parts, row, range, { onopen, isWhole = false }) {
    Object.assign(this, { parts, row, range, onopen });
    this.index = parts.rows.indexOf(row);
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.tip = el("output", { class: "muted" });
    this.node = el("div", { class: "timeline" }, this.canvas);
    if (isWhole) this.makeSlider();
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("pointerleave", () => this.showTip(this.index));
    this.canvas.addEventListener("click", (event) => this.open(this.indexAt(event)));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  // For screen readers it is a slider whose value is the item.
  makeSlider() {
    const { spans, rows } = this.parts;
    const values = { role: "slider", tabindex: "0", "data-focus": "timeline", "aria-label": "Items of this file, by time" };
    const range = { "aria-valuemin": "1", "aria-valuemax": String(rows.length), "aria-valuenow": String(this.index + 1) };
    const text = spans[this.index] ? `${clockSpan(spans[this.index])}, ${this.titleOf(this.index)}` : "the whole file";
    for (const [name, value] of Object.entries({ ...values, ...range, "aria-valuetext": text })) this.node.setAttribute(name, value);
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    this.node.append(this.makeAxis(), this.tip);
    this.showTip(this.index);
  }

  makeAxis() {
    const [from, to] = this.range;
    return el("div", { class: "axis" }, el("span", { text: clock(from, 0) }), el("span", { text: clock(to, 0) }));
  }

  titleOf(index) {
    return clusterTitle(this.parts.labels[index]);
  }

  // The file turned out to last so many seconds.
  setEnd(seconds) {
    if (!Number.isFinite(seconds) || seconds <= this.range[1]) return;
    this.range = [this.range[0], seconds];
    this.node.querySelector(".axis")?.replaceWith(this.makeAxis());
    this.draw();
  }

  // ---------------------------------------------------------------------------------------------------------- drawing

  x(seconds) {
    const [from, to] = this.range;
    return ((seconds - from) / (to - from)) * this.canvas.clientWidth;
  }

  // Each up to its end; where windows overlap, the later one lies on top.
  draw() {
    const { spans, labels } = this.parts,
      width = this.canvas.clientWidth,
      [from, to] = this.range;
    if (!width) return;
    const g = scaledContext(this.canvas, width, HEIGHT);
    g.clearRect(0, 0, width, HEIGHT);
    g.fillStyle = themeColour("tile");
    g.fillRect(0, MARK_HEIGHT, width, HEIGHT - 2 * MARK_HEIGHT);
    spans.forEach((span, i) => {
      if (!span || span[1] <= from || span[0] >= to) return;
      const x = this.x(span[0]),
        gap = this.x(span[1]) - x > 4 ? 1 : 0;
      g.fillStyle = clusterColour(labels[i]);
      g.fillRect(x, MARK_HEIGHT, Math.max(0.5, this.x(span[1]) - x - gap), HEIGHT - 2 * MARK_HEIGHT);
    });
    if (spans[this.index]) this.drawMark(g, spans[this.index]);
  }

  drawMark(g, [start, end]) {
    const x = this.x(start),
      width = Math.max(LEAST_PX, this.x(end) - x);
    g.fillStyle = themeColour("ink");
    g.fillRect(x, 0, width, MARK_HEIGHT - 1);
    g.fillRect(x, HEIGHT - MARK_HEIGHT + 1, width, MARK_HEIGHT - 1);
  }

  // ---------------------------------------------------------------------------------------------------------- choosing

  // The item under the pointer: of those that overlap there, the one that is drawn on top; -1 for none.
  indexAt(event) {
    const [from, to] = this.range,
      at = from + (event.offsetX / this.canvas.clientWidth) * (to - from);
    const holds = (span) => span && span[0] <= at && at < span[1];
    return this.parts.spans.findLastIndex(holds);
  }

  hover(event) {
    const index = this.indexAt(event);
    this.canvas.style.cursor = index >= 0 ? "pointer" : "default";
    this.canvas.title = index >= 0 ? this.describe(index) : "";
    this.showTip(index >= 0 ? index : this.index);
  }

  describe(index) {
    const span = this.parts.spans[index];
    return `${span ? clockSpan(span) : "the whole file"} · ${this.titleOf(index)}`;
  }

  showTip(index) {
    const { rows, total } = this.parts;
    const listed = total > rows.length ? `${formatNumber(rows.length)} nearest of ${plural(total, "item")}` : plural(total, "item");
    this.tip.textContent = `${this.describe(index)} · ${listed} of this file`;
  }

  open(index) {
    if (index >= 0 && index !== this.index) this.onopen(this.parts.rows[index]);
  }

  onKey(event) {
    const last = this.parts.rows.length - 1;
    const targets = {
      ArrowLeft: this.index - 1,
      ArrowDown: this.index - 1,
      ArrowRight: this.index + 1,
      ArrowUp: this.index + 1,
      Home: 0,
      End: last,
    };
    if (!(event.key in targets) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.open(Math.max(0, Math.min(last, targets[event.key])));
  }
}
