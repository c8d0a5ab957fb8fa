// Where the tiles of a grid are. The window scrolls over a box that may be less high than all lines together.

const GAP = 6; // between tiles and around them
const FOOT = 72; // room below the last line for the action bar
const MAX_HEIGHT = 12_000_000; // browsers lose precision in higher boxes, so the scroll bar of a higher grid is scaled

export class GridLayout {
  columns = 1;
  side = 96;

  // box: the element that scrolls. targetSide: the least side of a tile, which is enlarged to fill the width.
  constructor(box, targetSide) {
    Object.assign(this, { box, targetSide });
  }

  // Call after a change of the number of items, the target side or the box's size.
  update(count) {
    const width = this.box.clientWidth - 2 * GAP;
    this.count = count;
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.targetSide + GAP)));
    this.side = (width + GAP) / this.columns - GAP;
    this.step = this.side + GAP;
    this.height = this.box.clientHeight;
    const fullHeight = Math.ceil(count / this.columns) * this.step + GAP + FOOT,
      boxHeight = Math.min(fullHeight, MAX_HEIGHT);
    this.scale = boxHeight > this.height ? (fullHeight - this.height) / (boxHeight - this.height) : 1;
    this.spaceHeight = Math.max(0, boxHeight - this.height);
  }

  // The upper edge of the window, in pixels from the top of the grid.
  get top() {
    return this.box.scrollTop * this.scale;
  }

  set top(y) {
    this.box.scrollTop = y / this.scale;
  }

  // Index of the first item in the window, and that after the last.
  get first() {
    return Math.max(0, Math.floor((this.top - GAP) / this.step)) * this.columns;
  }

  get last() {
    return Math.min(this.count, this.first + (Math.ceil(this.height / this.step) + 1) * this.columns);
  }

  get itemsPerPage() {
    return Math.max(1, Math.floor(this.height / this.step)) * this.columns;
  }

  lineOf(index) {
    return Math.floor(index / this.columns);
  }

  // Of a tile, in the window.
  place(index) {
    const x = GAP + (index % this.columns) * this.step,
      y = GAP + this.lineOf(index) * this.step - this.top;
    return { x, y, side: this.side };
  }

  // Index of the tile at a point of the window; -1 between tiles.
  indexAt(windowX, windowY) {
    const x = windowX - GAP,
      y = windowY + this.top - GAP;
    const column = Math.floor(x / this.step),
      index = Math.floor(y / this.step) * this.columns + column;
    const isInTile = column >= 0 && column < this.columns && y >= 0 && x % this.step < this.side && y % this.step < this.side;
    return isInTile && index < this.count ? index : -1;
  }

  // Indices of the tiles that a rectangle touches, { x0, y0, x1, y1 } in pixels from the top of the grid.
  indicesIn({ x0, y0, x1, y1 }) {
    const column = (x) => Math.max(0, Math.min(this.columns - 1, Math.floor((x - GAP) / this.step)));
    const line = (y) => Math.max(0, Math.floor((y - GAP) / this.step));
    const indices = [];
    for (let l = line(Math.min(y0, y1)); l <= line(Math.max(y0, y1)); l++)
      for (let c = column(Math.min(x0, x1)); c <= column(Math.max(x0, x1)); c++) indices.push(l * this.columns + c);
    return indices.filter((index) => index < this.count);
  }

  scrollToLine(line) {
    this.top = line * this.step;
  }

  // Scrolls no further than is needed to see the tile.
  scrollTo(index) {
    const y = this.lineOf(index) * this.step,
      bottom = y + this.step + GAP;
    if (y < this.top) this.top = y;
    else if (bottom > this.top + this.height) this.top = bottom - this.height;
  }
}
