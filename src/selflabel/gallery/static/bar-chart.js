// A bar chart on a canvas, with a tooltip.

import { themeColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";

const HEIGHT = 132,
  LEFT = 4,
  TOP = 4,
  AXIS_HEIGHT = 18,
  PLOT_HEIGHT = HEIGHT - AXIS_HEIGHT - TOP;

export class BarChart {
  hoveredIndex = -1; // index of the bar under the pointer

  // bars: [{ value, fill: function that gives its colour, tooltip, open: what a click does, or undefined }]. line: a value for
  // each bar, drawn dashed, or null. axis: [[place from 0 to 1, text]]. note: below the chart.
  constructor(heading, bars, { line = null, axis = [], note = "" }) {
    Object.assign(this, { bars, line, axis });
    this.max = Math.max(1, ...bars.map((b) => b.value), ...(line || []));
    this.canvas = el("canvas", { role: "img", "aria-label": `${heading}. ${note}` });
    this.tooltip = el("output", { class: "tip" });
    this.node = el(
      "section",
      { class: "plot" },
      el("h3", { text: heading }),
      el("div", { class: "plotbox" }, this.canvas, this.tooltip),
      el("p", { class: "muted", text: note }),
    );
    this.canvas.addEventListener("pointermove", (event) => this.hover(this.indexAt(event)));
    this.canvas.addEventListener("pointerleave", () => this.hover(-1));
    this.canvas.addEventListener("click", (event) => this.bars[this.indexAt(event)]?.open?.());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  indexAt(event) {
    return Math.floor(((event.offsetX - LEFT) / (this.canvas.clientWidth - LEFT)) * this.bars.length);
  }

  hover(index) {
    this.hoveredIndex = index;
    const bar = this.bars[index];
    this.tooltip.textContent = bar?.tooltip || "";
    this.canvas.style.cursor = bar?.open ? "pointer" : "default";
    this.draw();
  }

  draw() {
    this.width = this.canvas.clientWidth || 280;
    this.step = (this.width - LEFT) / Math.max(1, this.bars.length);
    const g = scaledContext(this.canvas, this.width, HEIGHT);
    g.clearRect(0, 0, this.width, HEIGHT);
    this.drawBars(g);
    if (this.line) this.drawLine(g);
    this.drawAxis(g);
  }

  x(index) {
    return LEFT + index * this.step;
  }

  y(value) {
    return TOP + PLOT_HEIGHT * (1 - value / this.max);
  }

  drawBars(g) {
    const gap = this.step > 4 ? 2 : 0;
    this.bars.forEach((bar, i) => {
      g.fillStyle = bar.fill();
      g.globalAlpha = this.hoveredIndex < 0 || this.hoveredIndex === i ? 1 : 0.45;
      g.fillRect(this.x(i), this.y(bar.value), Math.max(this.step - gap, 0.7), TOP + PLOT_HEIGHT - this.y(bar.value));
    });
    g.globalAlpha = 1;
  }

  drawLine(g) {
    g.strokeStyle = themeColour("ink");
    g.lineWidth = 1.5;
    g.setLineDash([4, 3]);
    g.beginPath();
    this.line.forEach((value, i) => {
      g.lineTo(this.x(i), this.y(value));
      g.lineTo(this.x(i + 1), this.y(value));
    });
    g.stroke();
    g.setLineDash([]);
  }

  drawAxis(g) {
    g.fillStyle = themeColour("muted");
    g.font = "12px system-ui, sans-serif";
    for (const [place, text] of this.axis) {
      g.textAlign = place === 0 ? "left" : place === 1 ? "right" : "center";
      g.fillText(text, LEFT + place * (this.width - LEFT), HEIGHT - 4);
    }
  }
}
