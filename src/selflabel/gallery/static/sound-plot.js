// The sound around an item that is a span: its wave and its spectrogram, the span marked under both, and times below.

import { getJson } from "./api.js";
import { themeColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { clock } from "./format.js";

const WAVE_HEIGHT = 64,
  PEAK = 127, // the greatest value of the server's
  LEAST_TICK_PX = 64;
const STEPS_S = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];

export class SoundPlot {
  // row, span: of the item. media: what plays it; its place is shown, and a click sets it.
  constructor(row, span, media) {
    Object.assign(this, { row, span, media });
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.picture = el("img", { alt: "" });
    this.mark = el("div", { class: "mark" });
    this.head = el("div", { class: "playhead", hidden: true });
    this.axis = el("div", { class: "ticks", "aria-hidden": "true" });
    this.plots = el("div", { class: "plots" }, this.canvas, this.picture, this.mark, this.head);
    this.node = el("div", { class: "soundplot", role: "img", "aria-label": "Wave and spectrogram around the item" }, this.plots, this.axis);
    this.plots.addEventListener("click", (event) => this.seek(event));
    for (const type of ["play", "seeked", "timeupdate"]) media.addEventListener(type, () => this.drawHead());
    new ResizeObserver(() => this.draw()).observe(this.plots);
  }

  // Resolves to [from, to, length of the file] in seconds; to null where there is no sound.
  async load() {
    const stretch = await getJson(`/api/items/${this.row}/sound`).catch((error) => ({ problem: error.message }));
    if (stretch.problem) {
      this.node.replaceChildren(el("p", { class: "muted", text: `No sound to draw: ${stretch.problem.replace(/\.$/, "")}.` }));
      return null;
    }
    this.stretch = stretch;
    this.picture.src = `/media/${this.row}/spectrogram`;
    const { from_s: from, to_s: to, length_s: length } = this.stretch;
    this.place(this.mark, this.span[0], this.span[1]);
    this.draw();
    return [from, to, length];
  }

  share(seconds) {
    const { from_s: from, to_s: to } = this.stretch;
    return Math.max(0, Math.min(1, (seconds - from) / (to - from)));
  }

  place(node, start, end) {
    node.style.left = `${100 * this.share(start)}%`;
    node.style.width = `${100 * (this.share(end) - this.share(start))}%`;
  }

  draw() {
    if (!this.stretch || !this.canvas.clientWidth) return;
    const { low, high } = this.stretch,
      width = this.canvas.clientWidth,
      g = scaledContext(this.canvas, width, WAVE_HEIGHT),
      step = width / low.length,
      y = (value) => (WAVE_HEIGHT / 2) * (1 - value / PEAK);
    g.clearRect(0, 0, width, WAVE_HEIGHT);
    g.fillStyle = themeColour("accent");
    low.forEach((value, i) => g.fillRect(i * step, y(high[i]), Math.max(step, 0.6), Math.max(1, y(value) - y(high[i]))));
    this.drawAxis(width);
    this.drawHead();
  }

  drawAxis(width) {
    const { from_s: from, to_s: to } = this.stretch,
      step = STEPS_S.find((s) => (s / (to - from)) * width >= LEAST_TICK_PX) ?? STEPS_S.at(-1),
      digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    const ticks = [];
    for (let i = Math.ceil(from / step - 1e-6); i * step <= to + 1e-6; i++) {
      const tick = el("span", { text: clock(i * step, digits) });
      tick.style.left = `${100 * this.share(i * step)}%`;
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
  }

  drawHead() {
    if (!this.stretch) return;
    const { currentTime, paused } = this.media,
      { from_s: from, to_s: to } = this.stretch;
    this.head.hidden = currentTime < from || currentTime > to;
    this.head.style.left = `${100 * this.share(currentTime)}%`;
    if (!paused && this.node.isConnected) requestAnimationFrame(() => this.drawHead());
  }

  seek(event) {
    if (!this.stretch) return;
    const { left, width } = this.plots.getBoundingClientRect(),
      { from_s: from, to_s: to } = this.stretch;
    this.media.currentTime = from + ((event.clientX - left) / width) * (to - from);
  }
}
