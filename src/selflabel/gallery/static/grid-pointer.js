// The pointer on a grid: a click or a rectangle selects items, and resting on an item plays it.

const DRAG_PX = 6, // farther than this, a press becomes a rectangle
  REST_MS = 180,
  SCROLL_ZONE_PX = 24, // at the upper and lower edge, where drawing a rectangle scrolls
  SCROLL_PX = 18;

export class GridPointer {
  press = null; // { x, y, index }: where the button went down, in pixels from the top of the grid
  rectangle = null; // { x0, y0, x1, y1 }, likewise

  constructor(grid) {
    this.grid = grid;
    const { box } = grid;
    box.addEventListener("pointerdown", (event) => this.onDown(event));
    box.addEventListener("pointermove", (event) => this.onMove(event));
    box.addEventListener("pointerup", (event) => this.onUp(event));
    box.addEventListener("pointercancel", () => this.onCancel());
    box.addEventListener("pointerleave", () => {
      this.grid.hover(-1);
      this.stopPlaying();
    });
  }

  windowPoint(event) {
    const bounds = this.grid.canvas.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  }

  indexAt(event) {
    return this.grid.layout.indexAt(...this.windowPoint(event));
  }

  gridPoint(event) {
    const [x, y] = this.windowPoint(event);
    return { x, y: y + this.grid.layout.top };
  }

  onDown(event) {
    if (event.button || event.target.closest("button")) return;
    this.press = { ...this.gridPoint(event), index: this.indexAt(event) };
  }

  // With a finger, moving scrolls; it neither draws a rectangle nor plays.
  onMove(event) {
    if (event.pointerType === "touch") return;
    this.grid.hover(this.indexAt(event));
    if (!this.press) return this.playAtRest(event);
    const { x, y } = this.gridPoint(event);
    if (!this.rectangle && Math.hypot(x - this.press.x, y - this.press.y) < DRAG_PX) return;
    if (!this.rectangle) this.grid.box.setPointerCapture(event.pointerId);
    this.rectangle = { x0: this.press.x, y0: this.press.y, x1: x, y1: y };
    this.scrollAtEdge(event);
    this.grid.redraw();
  }

  scrollAtEdge({ clientY }) {
    const { box, canvas } = this.grid,
      { top, bottom } = canvas.getBoundingClientRect();
    if (clientY > bottom - SCROLL_ZONE_PX) box.scrollTop += SCROLL_PX;
    if (clientY < top + SCROLL_ZONE_PX) box.scrollTop -= SCROLL_PX;
  }

  onUp(event) {
    if (!this.press) return;
    const { press, rectangle } = this;
    this.press = this.rectangle = null;
    if (rectangle) {
      this.grid.select(this.grid.layout.indicesIn(rectangle));
      this.grid.redraw();
    } else if (press.index >= 0 && press.index === this.indexAt(event)) this.grid.click(press.index, event.shiftKey);
  }

  onCancel() {
    this.press = this.rectangle = null;
    this.grid.redraw();
  }

  playAtRest(event) {
    const { player } = this.grid;
    if (!player.canPlay || event.target.closest("video, button")) return;
    const index = this.indexAt(event);
    if (player.index === index) return;
    this.stopPlaying();
    if (index >= 0) this.timer = setTimeout(() => this.grid.play(index), REST_MS);
  }

  stopPlaying() {
    clearTimeout(this.timer);
    this.grid.player.stop();
  }
}
