// The pointer on a map: the wheel and two fingers zoom, a drag moves the map or draws a lasso, a click selects an item.

const CLICK_PX = 5; // a press that moves no farther is a click

export class MapPointer {
  pointers = new Map(); // id -> last event of a pointer that is down
  line = null; // of the lasso that is being drawn, in the plane
  movedPx = 0;
  pinchPx = 0; // distance of the two fingers at the last event; 0 before the first

  // map: has viewport, isLassoOn, and the methods that are called here.
  constructor(canvas, map) {
    Object.assign(this, { canvas, map });
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => this.onUp(event));
    canvas.addEventListener("pointercancel", (event) => this.onUp(event));
    canvas.addEventListener("pointerleave", () => map.hideTooltip());
  }

  onWheel(event) {
    event.preventDefault();
    this.map.zoom(1.0015 ** event.deltaY, event.offsetX, event.offsetY);
  }

  onDown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, event);
    this.pinchPx = 0;
    this.movedPx = 0;
    if (this.pointers.size === 1 && (this.map.isLassoOn || event.shiftKey)) this.line = [this.placeOf(event)];
  }

  placeOf(event) {
    return this.map.viewport.toPlane(event.offsetX, event.offsetY);
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.map.showTooltip(event);
    this.pointers.set(event.pointerId, event);
    if (this.line) {
      this.line.push(this.placeOf(event));
      return this.map.redraw();
    }
    const [first, second] = [...this.pointers.values()];
    if (second) return this.pinch(first, second);
    this.movedPx += Math.abs(event.movementX) + Math.abs(event.movementY);
    this.map.pan(before.offsetX - event.offsetX, before.offsetY - event.offsetY);
  }

  pinch(a, b) {
    const distance = Math.hypot(a.offsetX - b.offsetX, a.offsetY - b.offsetY);
    if (this.pinchPx) this.map.zoom(this.pinchPx / distance, (a.offsetX + b.offsetX) / 2, (a.offsetY + b.offsetY) / 2);
    this.pinchPx = distance;
  }

  onUp(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { line } = this;
    this.line = null;
    if (line) this.map.selectWithin(line);
    else if (this.movedPx < CLICK_PX && event.type === "pointerup") this.map.click(event);
  }
}
