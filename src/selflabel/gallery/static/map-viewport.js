// Which part of the plane a map shows. The plane is a unit square; pixels are those of the map's element.

const MIN_WIDTH = 0.004, // of the plane, when zoomed in
  MAX_WIDTH = 4,
  MARGIN = 0.25, // of the window, that is loaded around it
  WHOLE_SHARE = 0.96; // of the element's shorter side that the whole plane takes

export class Viewport {
  left = 0;
  top = 0;
  right = 1;
  bottom = 1;

  constructor(element) {
    this.element = element;
  }

  // Pixels per unit of the plane.
  get scale() {
    return this.element.clientWidth / (this.right - this.left);
  }

  toPlane(px, py) {
    return [this.left + px / this.scale, this.top + py / this.scale];
  }

  get corners() {
    const { left, top, right, bottom } = this;
    return [
      [left, top],
      [right, top],
      [right, bottom],
      [left, bottom],
    ];
  }

  // The window with a margin, so that moving the map a little shows no bare edge.
  get paddedWindow() {
    const w = (this.right - this.left) * MARGIN,
      h = (this.bottom - this.top) * MARGIN;
    return { left: this.left - w, top: this.top - h, right: this.right + w, bottom: this.bottom + h };
  }

  // Call when the element's size has changed: the middle stays, and the scale as far as the width allows. Returns whether the
  // element is shown at all.
  resize() {
    const { clientWidth: w, clientHeight: h } = this.element;
    if (!w || !h) return false;
    if (!this.width) this.showAll();
    else {
      const side = ((this.right - this.left) * this.width) / Math.min(this.width, w);
      this.centre((this.left + this.right) / 2, (this.top + this.bottom) / 2, Math.min(w, h) / Math.max(side, MIN_WIDTH));
    }
    this.width = w;
    return true;
  }

  showAll() {
    this.centre(0.5, 0.5, Math.min(this.element.clientWidth, this.element.clientHeight) * WHOLE_SHARE);
  }

  centre(x, y, scale) {
    const { clientWidth: w, clientHeight: h } = this.element;
    this.left = x - w / scale / 2;
    this.right = x + w / scale / 2;
    this.top = y - h / scale / 2;
    this.bottom = y + h / scale / 2;
  }

  // factor: below 1 zooms in. The point of the plane at a pixel stays there; without one, the middle.
  zoom(factor, px = this.element.clientWidth / 2, py = this.element.clientHeight / 2) {
    const [x, y] = this.toPlane(px, py),
      width = this.right - this.left;
    const limitedFactor = Math.max(MIN_WIDTH / width, Math.min(factor, MAX_WIDTH / width));
    this.left = x + (this.left - x) * limitedFactor;
    this.right = x + (this.right - x) * limitedFactor;
    this.top = y + (this.top - y) * limitedFactor;
    this.bottom = y + (this.bottom - y) * limitedFactor;
  }

  // By pixels.
  pan(dx, dy) {
    const x = dx / this.scale,
      y = dy / this.scale;
    this.left += x;
    this.right += x;
    this.top += y;
    this.bottom += y;
  }
}
