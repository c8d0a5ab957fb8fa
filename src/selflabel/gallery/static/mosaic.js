// A mosaic of small pictures on a card.

import { themeColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { MISSING, drawTile, picture } from "./thumbs.js";

const COLUMNS = 4,
  LINES = 3,
  GAP = 1;

export class Mosaic {
  canvas = el("canvas", { "aria-hidden": "true" });

  // rows: of the items.
  // Paints only if something has changed: an unchanged canvas costs the browser nothing.
  paint(rows) {
    const width = this.canvas.clientWidth,
      side = (width - (COLUMNS - 1) * GAP) / COLUMNS,
      step = side + GAP;
    const content = [width, themeColour("tile"), ...rows.map((row) => `${row}${pictureState(row)}`)].join();
    if (width <= 0 || content === this.paintedContent) return;
    this.paintedContent = content;
    const g = scaledContext(this.canvas, width, side * LINES + (LINES - 1) * GAP);
    g.clearRect(0, 0, width, step * LINES);
    rows.forEach((row, i) => drawTile(g, row, (i % COLUMNS) * step, Math.floor(i / COLUMNS) * step, side));
  }
}

const pictureState = (row) => (picture(row) ? "+" : picture(row) === MISSING ? "-" : "?");
