// The names of clusters on the map, each at the middle of its typical items; where two would overlap, the larger cluster's is drawn.

import { getJson } from "./api.js";
import { themeColour } from "./colours.js";
import { clusterTitle, store } from "./store.js";

const FONT = "600 13px system-ui, sans-serif",
  HEIGHT = 18,
  GAP = 4, // between names
  MAX_LETTERS = 28;

export class MapLabels {
  places = []; // [{ id, x, y }] in the plane, the largest cluster first

  // Resolves to whether there are other places than before: after an edit, and at first.
  async load() {
    if (this.version === store.overview.version) return false;
    Object.assign(this, await getJson("/api/places"));
    return true;
  }

  // view: as in map-drawing.js. onlyCluster: the only one to name, or null for all. Returns the names that were drawn.
  draw(g, view, onlyCluster) {
    return drawLabels(g, this.places, view, onlyCluster);
  }
}

function drawLabels(g, places, { left, top, scale, width, height }, onlyCluster) {
  const boxes = [],
    drawn = [];
  Object.assign(g, { font: FONT, textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 4, globalAlpha: 1 });
  for (const { id, x, y } of places) {
    if (onlyCluster !== null && onlyCluster !== id) continue;
    const text = shortTitle(id),
      half = g.measureText(text).width / 2 + GAP;
    const [px, py] = [inside((x - left) * scale, half, width), (y - top) * scale];
    const box = [px - half, py - HEIGHT / 2, px + half, py + HEIGHT / 2];
    const isInSight = py > HEIGHT / 2 && py < height - HEIGHT / 2 && (x - left) * scale >= 0 && (x - left) * scale <= width;
    if (!isInSight || boxes.some((other) => overlap(box, other))) continue;
    boxes.push(box);
    drawn.push(text);
    drawText(g, text, px, py);
  }
  return drawn;
}

// A name near the edge is drawn whole.
const inside = (x, half, width) => Math.max(half, Math.min(width - half, x));

const overlap = ([l, t, r, b], [left, top, right, bottom]) => l < right && r > left && t < bottom && b > top;

// With a rim in the colour of the ground, so that it stands out from the points below it.
function drawText(g, text, x, y) {
  g.strokeStyle = themeColour("ground");
  g.strokeText(text, x, y);
  g.fillStyle = themeColour("ink");
  g.fillText(text, x, y);
}

function shortTitle(id) {
  const letters = [...clusterTitle(id)];
  return letters.length > MAX_LETTERS ? `${letters.slice(0, MAX_LETTERS - 1).join("")}…` : letters.join("");
}
