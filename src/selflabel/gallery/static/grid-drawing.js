// What a grid draws besides the pictures: the marks of selected items, of the focus, and of the rectangle that selects.

import { themeColour } from "./colours.js";

const LABEL_HEIGHT = 18,
  LABEL_PADDING = 5,
  LOCATOR_SHARE = 0.36, // of the side of a tile, which a photo's plan takes at most
  LOCATOR_RIM = 6;
const fittedTexts = new Map(); // width and text -> as much of it as fits; measuring is slow

// A text along the foot of a tile, or so many lines above it: the name of its cluster, with a line in the cluster's colour; or, with
// the colour null, anything else.
export function drawTileLabel(g, text, colour, x, y, side, linesAbove = 0) {
  const top = y + side - LABEL_HEIGHT * (1 + linesAbove);
  g.globalAlpha = 0.9;
  g.fillStyle = themeColour("surface");
  g.fillRect(x, top, side, LABEL_HEIGHT);
  g.globalAlpha = 1;
  if (colour) {
    g.fillStyle = colour;
    g.fillRect(x, top, side, 2);
  }
  g.fillStyle = themeColour("ink");
  g.font = "12px system-ui, sans-serif";
  g.textAlign = "left";
  g.textBaseline = "middle";
  g.fillText(fitted(g, text, side - 2 * LABEL_PADDING), x + LABEL_PADDING, top + LABEL_HEIGHT / 2 + 1);
}

function fitted(g, text, width) {
  const key = `${width}|${text}`;
  if (fittedTexts.size > 2000) fittedTexts.clear();
  if (!fittedTexts.has(key)) fittedTexts.set(key, shortened(g, text, width));
  return fittedTexts.get(key);
}

function shortened(g, text, width) {
  if (g.measureText(text).width <= width) return text;
  const letters = [...text];
  while (letters.length > 1 && g.measureText(`${letters.join("")}…`).width > width) letters.pop();
  return `${letters.join("")}…`;
}

// Where a box lies in its photo, as a small plan in a corner of the tile.
export function drawLocator(g, { box: [x0, y0, x1, y1], size: [across, down] }, x, y, side) {
  const scale = (LOCATOR_SHARE * side) / Math.max(across, down),
    [width, height] = [across * scale, down * scale],
    [left, top] = [x + side - width - LOCATOR_RIM, y + LOCATOR_RIM];
  g.globalAlpha = 0.85;
  g.fillStyle = themeColour("surface");
  g.fillRect(left, top, width, height);
  g.globalAlpha = 1;
  g.strokeStyle = themeColour("ink");
  g.lineWidth = 1;
  g.strokeRect(left, top, width, height);
  g.fillStyle = themeColour("accent");
  g.fillRect(left + x0 * width, top + y0 * height, Math.max(2, (x1 - x0) * width), Math.max(2, (y1 - y0) * height));
}

// A frame inside the tile, with a tick.
export function drawSelectionMark(g, x, y, side) {
  g.strokeStyle = g.fillStyle = themeColour("accent");
  g.lineWidth = 4;
  g.strokeRect(x + 2, y + 2, side - 4, side - 4);
  g.beginPath();
  g.arc(x + 15, y + 15, 9, 0, 7);
  g.fill();
  g.strokeStyle = themeColour("on-accent");
  g.lineWidth = 2;
  g.beginPath();
  g.moveTo(x + 11, y + 15);
  g.lineTo(x + 14, y + 18.5);
  g.lineTo(x + 19.5, y + 11.5);
  g.stroke();
}

// Two lines around the tile, one in the colour of the ground, so that the ring is seen on any picture.
export function drawFocusRing(g, x, y, side) {
  g.strokeStyle = themeColour("surface");
  g.lineWidth = 5;
  g.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
  g.strokeStyle = themeColour("ink");
  g.lineWidth = 2.5;
  g.strokeRect(x - 1.5, y - 1.5, side + 3, side + 3);
}

// rectangle: { x0, y0, x1, y1 } between any two opposite corners.
export function drawRectangle(g, { x0, y0, x1, y1 }) {
  g.strokeStyle = themeColour("accent");
  g.lineWidth = 1.5;
  g.setLineDash([5, 4]);
  g.strokeRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  g.setLineDash([]);
}
