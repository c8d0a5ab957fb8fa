// The third view: all items in the plane, each near similar ones, coloured by cluster. A line drawn around some selects them.

import { moveSelected, rejectSelected } from "./actions.js";
import { RequestError, getWhenReady, postForRows } from "./api.js";
import { clusterColour } from "./colours.js";
import { button, el, scaledContext } from "./dom.js";
import { formatNumber, percent } from "./format.js";
import { key, setViewKeys } from "./keys.js";
import { decodeWindow, nearestPoint } from "./map-data.js";
import { densityPicture, drawDensity, drawFocusFrame, drawLasso, drawPoints } from "./map-drawing.js";
import { MapLabels } from "./map-labels.js";
import { MapPointer } from "./map-pointer.js";
import { MapSide } from "./map-side.js";
import { MapTooltip } from "./map-tooltip.js";
import { Viewport } from "./map-viewport.js";
import { drawSelectionBar } from "./selection-bar.js";
import { selection } from "./selection.js";
import { onChange, store } from "./store.js";
import { showToast } from "./toast.js";

const POINTER_PX = 9, // an item within this distance is under the pointer
  LOAD_DELAY_MS = 120,
  RETRY_MS = 1500,
  MAX_LASSO_POINTS = 2000;
const BUTTON_ZOOM = 0.6,
  KEY_ZOOM = 0.7;

// Returns a function that closes the view.
export function showMap(main) {
  const view = new MapView(main);
  const stop = onChange(() => view.refresh());
  return () => {
    stop();
    view.close();
  };
}

function drawingNote(share, step) {
  const text = `Drawing the map, once per run: ${step}, ${percent(share)}. The other views are ready.`;
  return [el("progress", { max: "1", value: share, "aria-label": "The map" }), text];
}

class MapView {
  points = null; // until the map is there
  labels = new MapLabels();
  isLassoOn = false;

  constructor(main) {
    this.canvas = el("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": "Map of all items. Arrow keys move it, plus and minus zoom, Enter selects what is in sight.",
    });
    this.tooltip = new MapTooltip();
    this.note = el("p", { class: "mapnote muted", role: "status" });
    this.box = el("div", { class: "mapbox" }, this.canvas, this.makeTools(), this.note, this.tooltip.node);
    this.viewport = new Viewport(this.box);
    this.redraw = this.redraw.bind(this);
    this.side = new MapSide(this.redraw);
    main.replaceChildren(el("div", { class: "map" }, this.box, this.side.node));
    this.bar = document.getElementById("bar");
    this.onSelection = this.onSelection.bind(this);
    selection.listeners.add(this.onSelection);
    addEventListener("theme", this.redraw);
    this.resizeObserver = new ResizeObserver(() => this.viewport.resize() && this.onMoved());
    this.resizeObserver.observe(this.box);
    this.pointer = new MapPointer(this.canvas, this);
    this.setKeys();
    this.listenForKeys();
    this.side.drawLegend();
    this.load();
  }

  makeTools() {
    const title = "Draw around items to select them (l); or hold Shift and draw";
    this.lassoButton = button("Lasso", title, () => this.setLasso(!this.isLassoOn));
    this.lassoButton.disabled = true; // until the map is there
    return el(
      "div",
      { class: "maptools" },
      this.lassoButton,
      button("+", "Closer (+)", () => this.zoom(BUTTON_ZOOM)),
      button("−", "Farther (-)", () => this.zoom(1 / BUTTON_ZOOM)),
      button("All", "The whole map (0)", () => this.showAll()),
    );
  }

  close() {
    this.isClosed = true;
    selection.listeners.delete(this.onSelection);
    removeEventListener("theme", this.redraw);
    this.resizeObserver.disconnect();
    clearTimeout(this.timer);
    this.tooltip.close();
    this.side.close();
    selection.clear();
    this.bar.replaceChildren();
  }

  // ------------------------------------------------------------------------------------------------------------ loading

  refresh() {
    this.side.drawLegend();
    this.load();
  }

  async load() {
    this.state = "asking";
    this.request?.abort();
    const request = (this.request = new AbortController());
    const window = this.viewport.paddedWindow;
    try {
      const { data, pending } = await getWhenReady(`/api/map?${new URLSearchParams(window)}`, request.signal);
      if (this.isClosed) return;
      if (pending) return this.wait(pending);
      this.note.textContent = "";
      this.setData(decodeWindow(data), window);
      if ((await this.labels.load()) && !this.isClosed) this.redraw();
    } catch (error) {
      // A request that a later one has aborted is no error.
      if (error instanceof RequestError && !request.signal.aborted) this.note.textContent = error.message;
    }
  }

  wait({ error, share = 0, step = "starting" }) {
    this.note.replaceChildren(...(error ? [`There is no map: ${error}`] : drawingNote(share, step)));
    if (!error) this.timer = setTimeout(() => this.load(), RETRY_MS);
  }

  setData({ total, points, density }, window) {
    this.points = points;
    this.density = density && { ...density, window };
    this.densityKey = null;
    this.isComplete = points.n === total && total >= store.overview.n_items;
    this.lassoButton.disabled = false;
    if (total > points.n)
      this.note.textContent = `${formatNumber(points.n)} of the ${formatNumber(total)} items here as points, all of them as a haze.`;
    this.redraw();
    this.state = "ready";
  }

  // Loads what is in the window, a moment after it has come to rest, unless everything has been loaded.
  loadLater() {
    clearTimeout(this.timer);
    if (this.isComplete) return;
    this.state = "asking";
    this.timer = setTimeout(() => this.load(), LOAD_DELAY_MS);
  }

  // Whether the data in sight are loaded: tests and timings wait for it.
  set state(name) {
    document.body.dataset.map = name;
  }

  // ------------------------------------------------------------------------------------------------------------ drawing

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.box,
      g = scaledContext(this.canvas, width, height);
    g.clearRect(0, 0, width, height);
    if (!this.points) return;
    const { left, top, scale } = this.viewport,
      view = { left, top, scale, width, height };
    if (this.density) drawDensity(g, this.densityPicture(), this.density.window, view);
    drawPoints(g, this.points, view, this.side.onlyCluster);
    this.canvas.dataset.names = this.labels.draw(g, view, this.side.onlyCluster).join(", "); // for tests
    if (this.pointer.line) drawLasso(g, this.pointer.line, view);
    if (this.canvas.matches(":focus-visible")) drawFocusFrame(g, view);
  }

  // Painted again only where the theme or the cluster in colour has changed.
  densityPicture() {
    const densityKey = clusterColour(1) + this.side.onlyCluster;
    if (this.densityKey !== densityKey) {
      this.densityKey = densityKey;
      this.picture = densityPicture(this.density, this.side.onlyCluster);
    }
    return this.picture;
  }

  // ------------------------------------------------------------------------------------------------------------- moving

  onMoved() {
    this.redraw();
    this.loadLater();
  }

  showAll() {
    this.viewport.showAll();
    this.onMoved();
  }

  zoom(factor, px, py) {
    this.viewport.zoom(factor, px, py);
    this.onMoved();
  }

  pan(dx, dy) {
    this.viewport.pan(dx, dy);
    this.onMoved();
  }

  // ---------------------------------------------------------------------------------------------------------- selecting

  indexAt(event) {
    if (!this.points) return -1;
    const place = this.viewport.toPlane(event.offsetX, event.offsetY);
    return nearestPoint(this.points, place, POINTER_PX / this.viewport.scale);
  }

  showTooltip(event) {
    const i = this.indexAt(event);
    if (i < 0) return this.hideTooltip();
    this.tooltip.show(this.points.row[i], this.points.label[i], event.offsetX, event.offsetY);
  }

  hideTooltip() {
    this.tooltip.hide();
  }

  click(event) {
    const i = this.indexAt(event);
    if (i < 0) return selection.clear();
    selection.set([this.points.row[i]]);
  }

  setLasso(isOn) {
    if (isOn && !this.points) return;
    this.isLassoOn = isOn;
    this.lassoButton.setAttribute("aria-pressed", String(isOn));
    this.box.classList.toggle("lassoing", isOn);
  }

  // line: points of the plane; the server limits their number.
  async selectWithin(line) {
    this.redraw();
    const step = Math.ceil(line.length / MAX_LASSO_POINTS),
      polygon = line.filter((_, i) => i % step === 0);
    if (polygon.length < 3) return;
    try {
      const rows = await postForRows("/api/lasso", polygon);
      this.setLasso(false);
      if (!rows.length) showToast("There are no items within the line.");
      selection.set(rows);
    } catch (error) {
      showToast(error.message, null, true);
    }
  }

  onSelection() {
    drawSelectionBar(this.bar);
    this.redraw();
    this.side.showSelected();
  }

  // --------------------------------------------------------------------------------------------------------------- keys

  setKeys() {
    const selectNone = () => {
      this.setLasso(false);
      selection.clear();
    };
    setViewKeys("Map", [
      key("Arrows", "move the map"),
      key(["+", "="], "closer", () => this.zoom(KEY_ZOOM)),
      key("-", "farther", () => this.zoom(1 / KEY_ZOOM)),
      key("0", "the whole map", () => this.showAll()),
      key("l", "lasso: draw around items to select them", () => this.setLasso(!this.isLassoOn)),
      key("Enter", "select all that is in sight", () => this.selectWithin(this.viewport.corners)),
      key("v", "move the selected items to another cluster, or a new one", () => selection.size && moveSelected()),
      key(["x", "Delete"], "reject the selected items", () => selection.size && rejectSelected()),
      key("Escape", "select none", selectNone),
    ]);
  }

  listenForKeys() {
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.canvas.addEventListener("keydown", (event) => {
      if (!(event.key in directions) || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const step = this.box.clientWidth / 8,
        [x, y] = directions[event.key];
      this.pan(x * step, y * step);
    });
    this.canvas.addEventListener("focus", this.redraw);
    this.canvas.addEventListener("blur", this.redraw);
  }
}
