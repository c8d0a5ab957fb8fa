// The third view: all items in the plane, near what they are like, coloured by cluster. Draw around some to select them.

import { getWhenReady, postForRows, Refused } from "./api.js";
import { button, colour, el, hue, number, sized } from "./dom.js";
import { drawHaze, drawLine, drawPoints, hazeOf } from "./points.js";
import { drawActions, moveSelected, rejectSelected } from "./items.js";
import { key, setKeys } from "./keys.js";
import { MapSide } from "./mapside.js";
import { onChange, selection, store, title, toast } from "./store.js";
import { drawTile, forget, picture, wish } from "./thumbs.js";

const LEAST = 0.004,
  HIT_PX = 9,
  ASK_MS = 120;
const WHOLE = { left: 0, top: 0, right: 1, bottom: 1 };

export function showMap(main) {
  const view = new MapView(main);
  const stop = onChange(() => view.refresh());
  return () => {
    stop();
    view.close();
  };
}

class MapView {
  window = { ...WHOLE }; // of the plane, as wide and high as the canvas
  points = null;
  alone = null; // the only cluster shown in colour
  lassoing = false;

  constructor(main) {
    this.canvas = el("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": "Map of all items. Arrow keys move it, plus and minus zoom, Enter selects what is in sight.",
    });
    this.tip = el("div", { class: "maptip", hidden: true }, el("canvas", {}), el("span"));
    this.note = el("p", { class: "mapnote muted", role: "status" });
    this.lassoButton = button("Lasso", "Draw around items to select them (l); or hold Shift and draw", () =>
      this.setLasso(!this.lassoing),
    );
    const tools = el(
      "div",
      { class: "maptools" },
      this.lassoButton,
      button("+", "Closer (+)", () => this.zoom(0.6)),
      button("−", "Farther (-)", () => this.zoom(1 / 0.6)),
      button("All", "The whole map (0)", () => this.toWhole()),
    );
    this.box = el("div", { class: "mapbox" }, this.canvas, tools, this.note, this.tip);
    this.side = new MapSide((alone) => {
      this.alone = alone;
      this.redraw();
    });
    main.replaceChildren(el("div", { class: "map" }, this.box, this.side.node));
    this.bar = document.getElementById("bar");
    this.redraw = this.redraw.bind(this);
    this.selected = this.selected.bind(this);
    selection.listeners.add(this.selected);
    addEventListener("theme", this.redraw);
    this.watcher = new ResizeObserver(() => this.fit());
    this.watcher.observe(this.box);
    this.listen();
    this.keys();
    this.lassoButton.disabled = true;
    this.side.drawLegend();
    this.load();
  }

  close() {
    this.closed = true;
    selection.listeners.delete(this.selected);
    removeEventListener("theme", this.redraw);
    this.watcher.disconnect();
    clearTimeout(this.asking);
    forget(this);
    this.side.close();
    selection.clear();
    this.bar.replaceChildren();
  }

  // ------------------------------------------------------------------------------------------------------------ loading

  refresh() {
    this.side.drawLegend();
    this.load();
  }

  // Asks a little beyond what is in sight, so that moving shows no bare edge.
  asked() {
    const { left, top, right, bottom } = this.window,
      w = (right - left) * 0.25,
      h = (bottom - top) * 0.25;
    return { left: left - w, top: top - h, right: right + w, bottom: bottom + h };
  }

  async load() {
    this.state = "asking";
    this.coming?.abort();
    this.coming = new AbortController();
    const window = this.asked();
    try {
      const { data, waiting } = await getWhenReady(`/api/map?${new URLSearchParams(window)}`, this.coming.signal);
      if (this.closed) return;
      if (waiting) return this.wait(waiting);
      this.note.textContent = "";
      this.take(data, window);
    } catch (error) {
      if (error instanceof Refused && !this.coming.signal.aborted) this.note.textContent = error.message;
    }
  }

  wait({ trouble }) {
    this.note.textContent = trouble
      ? `There is no map: ${trouble}`
      : "Working out the map: once a run, from seconds to a few minutes. The other views are ready.";
    if (!trouble) this.asking = setTimeout(() => this.load(), 1500);
  }

  take(data, window) {
    const [inside, n, cells] = new Uint32Array(data, 0, 3);
    const part = (Type, i) => new Type(data, 12 + 4 * n * i, n);
    this.points = {
      n,
      inside,
      x: part(Float32Array, 0),
      y: part(Float32Array, 1),
      row: part(Int32Array, 2),
      label: part(Int32Array, 3),
    };
    const at = 12 + 16 * n,
      size = cells * cells;
    this.density = cells
      ? { cells, window, light: new Uint8Array(data, at, size), label: new Int32Array(data.slice(at + size)) }
      : null;
    this.all = n === inside && n >= store.overview.n_items;
    this.lassoButton.disabled = false;
    this.hazed = null;
    this.say();
    this.redraw();
    this.state = "ready";
  }

  say() {
    const { inside, n } = this.points;
    this.note.textContent =
      inside > n ? `${number(n)} of the ${number(inside)} items here as points, all of them as a haze.` : "";
  }

  later() {
    clearTimeout(this.asking);
    if (this.all) return;
    this.state = "asking";
    this.asking = setTimeout(() => this.load(), ASK_MS);
  }

  // ------------------------------------------------------------------------------------------------------------ drawing

  fit() {
    const { clientWidth: w, clientHeight: h } = this.box;
    if (!w || !h) return;
    const { left, top, right, bottom } = this.window,
      cx = (left + right) / 2,
      cy = (top + bottom) / 2;
    const side = this.unit ? ((right - left) * this.unit) / Math.min(this.unit, w) : 1;
    const scale = Math.min(w, h) / (this.unit ? Math.max(side, LEAST) : 1);
    this.unit = w;
    this.window = { left: cx - w / scale / 2, right: cx + w / scale / 2, top: cy - h / scale / 2, bottom: cy + h / scale / 2 };
    if (!this.fitted) {
      this.fitted = true;
      this.toWhole();
    }
    this.redraw();
    this.later();
  }

  toWhole() {
    const { clientWidth: w, clientHeight: h } = this.box,
      scale = Math.min(w, h) * 0.96;
    this.window = {
      left: 0.5 - w / scale / 2,
      right: 0.5 + w / scale / 2,
      top: 0.5 - h / scale / 2,
      bottom: 0.5 + h / scale / 2,
    };
    this.redraw();
    this.later();
  }

  get scale() {
    return this.box.clientWidth / (this.window.right - this.window.left);
  }
  toPlane(px, py) {
    return [this.window.left + px / this.scale, this.window.top + py / this.scale];
  }

  // Whether what is in sight is what the server has of it, for tests and timings.
  set state(words) {
    document.body.dataset.map = words;
  }

  redraw() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      this.draw();
    });
  }

  draw() {
    const { clientWidth: w, clientHeight: h } = this.box,
      g = sized(this.canvas, w, h);
    g.clearRect(0, 0, w, h);
    if (!this.points) return;
    const view = { ...this.window, scale: this.scale, w, h };
    if (this.density) drawHaze(g, this.haze(), this.density.window, view);
    drawPoints(g, this.points, view, this.alone);
    if (this.line) drawLine(g, this.line, view);
    if (this.canvas.matches(":focus-visible")) {
      g.strokeStyle = colour("accent");
      g.lineWidth = 4;
      g.strokeRect(2, 2, w - 4, h - 4);
    }
  }

  // The density as a picture, painted anew where the theme or the cluster shown alone has changed.
  haze() {
    const key = hue(1) + this.alone;
    if (this.hazed !== key) [this.hazed, this.picture] = [key, hazeOf(this.density, this.alone)];
    return this.picture;
  }

  // ------------------------------------------------------------------------------------------------------ moving, picking

  zoom(by, px = this.box.clientWidth / 2, py = this.box.clientHeight / 2) {
    const [x, y] = this.toPlane(px, py),
      { left, top, right, bottom } = this.window;
    const factor = Math.max(LEAST / (right - left), Math.min(by, 4 / (right - left)));
    this.window = {
      left: x + (left - x) * factor,
      right: x + (right - x) * factor,
      top: y + (top - y) * factor,
      bottom: y + (bottom - y) * factor,
    };
    this.redraw();
    this.later();
  }

  pan(dx, dy) {
    const { left, top, right, bottom } = this.window,
      x = dx / this.scale,
      y = dy / this.scale;
    this.window = { left: left + x, right: right + x, top: top + y, bottom: bottom + y };
    this.redraw();
    this.later();
  }

  setLasso(on) {
    if (on && !this.points) return;
    this.lassoing = on;
    this.lassoButton.setAttribute("aria-pressed", String(on));
    this.box.classList.toggle("lassoing", on);
  }

  listen() {
    const canvas = this.canvas,
      fingers = new Map();
    let spread = 0;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(1.0015 ** event.deltaY, event.offsetX, event.offsetY);
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      fingers.set(event.pointerId, event);
      spread = 0;
      if (fingers.size === 1 && (this.lassoing || event.shiftKey)) this.line = [this.toPlane(event.offsetX, event.offsetY)];
      this.moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return this.point(event);
      fingers.set(event.pointerId, event);
      if (this.line) {
        this.line.push(this.toPlane(event.offsetX, event.offsetY));
        return this.redraw();
      }
      const [a, b] = [...fingers.values()];
      if (b) {
        const now = Math.hypot(a.offsetX - b.offsetX, a.offsetY - b.offsetY);
        if (spread) this.zoom(spread / now, (a.offsetX + b.offsetX) / 2, (a.offsetY + b.offsetY) / 2);
        spread = now;
        return;
      }
      this.moved += Math.abs(event.movementX) + Math.abs(event.movementY);
      this.pan(before.offsetX - event.offsetX, before.offsetY - event.offsetY);
    });
    const up = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      const line = this.line;
      this.line = null;
      if (line) this.lasso(line);
      else if (this.moved < 5 && event.type === "pointerup") this.click(event);
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
    });
    canvas.addEventListener("focus", this.redraw);
    canvas.addEventListener("blur", this.redraw);
  }

  nearest(px, py) {
    if (!this.points) return -1;
    const [x, y] = this.toPlane(px, py),
      reach = (HIT_PX / this.scale) ** 2;
    let best = reach,
      found = -1;
    for (let i = 0; i < this.points.n; i++) {
      const far = (this.points.x[i] - x) ** 2 + (this.points.y[i] - y) ** 2;
      if (far < best) {
        best = far;
        found = i;
      }
    }
    return found;
  }

  point(event) {
    const i = this.nearest(event.offsetX, event.offsetY);
    this.tip.hidden = i < 0;
    if (i < 0) return;
    const row = this.points.row[i],
      [canvas, words] = this.tip.children;
    words.textContent = title(this.points.label[i]);
    this.tip.style.transform = `translate(${Math.min(event.offsetX + 14, this.box.clientWidth - 130)}px, ${Math.min(event.offsetY + 14, this.box.clientHeight - 140)}px)`;
    const paint = () => drawTile(sized(canvas, 96, 96), row, 0, 0, 96);
    if (picture(row) === undefined) wish(this, [row], paint);
    paint();
  }

  click(event) {
    const i = this.nearest(event.offsetX, event.offsetY);
    if (i < 0) return selection.clear();
    selection.set([this.points.row[i]]);
  }

  async lasso(line) {
    this.redraw();
    const thin = line.filter((_, i) => i % Math.ceil(line.length / 2000) === 0);
    if (thin.length < 3) return;
    try {
      const rows = await postForRows("/api/lasso", thin);
      this.setLasso(false);
      if (!rows.length) toast("There are no items within the line.");
      selection.set(rows);
    } catch (error) {
      toast(error.message, null, true);
    }
  }

  lassoWindow() {
    const { left, top, right, bottom } = this.window;
    return this.lasso([
      [left, top],
      [right, top],
      [right, bottom],
      [left, bottom],
    ]);
  }

  selected() {
    drawActions(this.bar);
    this.redraw();
    this.side.showSelected();
  }

  keys() {
    const step = () => this.box.clientWidth / 8;
    setKeys("Map", [
      key("Arrows", "move the map"),
      key(["+", "="], "closer", () => this.zoom(0.7)),
      key("-", "farther", () => this.zoom(1 / 0.7)),
      key("0", "the whole map", () => this.toWhole()),
      key("l", "lasso: draw around items to select them", () => this.setLasso(!this.lassoing)),
      key("Enter", "select all that is in sight", () => this.lassoWindow()),
      key("v", "move the selected items to another cluster, or a new one", () => selection.size && moveSelected()),
      key(["x", "Delete"], "reject the selected items", () => selection.size && rejectSelected()),
      key("Escape", "select none", () => {
        this.setLasso(false);
        selection.clear();
      }),
    ]);
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.canvas.addEventListener("keydown", (event) => {
      if (event.key in moves && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        this.pan(moves[event.key][0] * step(), moves[event.key][1] * step());
      }
    });
  }
}
