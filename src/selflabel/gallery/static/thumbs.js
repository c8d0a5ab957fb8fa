// Small pictures by row: asked for many at a time, kept while there is room, drawn on any canvas.

import { colour } from "./dom.js";

const AT_ONCE = 48,
  IN_FLIGHT = 3,
  KEPT = 2500;
const stamp = document.body.dataset.stamp;
const kept = new Map(); // row -> ImageBitmap, or null for a missing one; the first is the one longest unused
const coming = new Set();
const wishes = new Map(); // owner -> { rows, redraw }
const answers = new Map();
const worker = new Worker("/static/unpack.js");
let flying = 0,
  asked = 0;

worker.onmessage = ({ data: { id, pictures } }) => {
  answers.get(id)(pictures);
  answers.delete(id);
};

export const MISSING = null;

// The picture; undefined until it is here.
export function picture(row) {
  const found = kept.get(row);
  if (found !== undefined) {
    kept.delete(row);
    kept.set(row, found);
  }
  return found;
}

// What an owner shows now: earlier wishes of it that are not under way are forgotten, so that fast scrolling asks for little.
export function wish(owner, rows, redraw) {
  wishes.set(owner, { rows, redraw });
  send();
}

export const forget = (owner) => wishes.delete(owner);

// Missing pictures may be back: look again.
export function retryMissing() {
  for (const [row, found] of kept) if (found === MISSING) kept.delete(row);
}

function next() {
  const rows = [];
  for (const wanted of wishes.values())
    for (const row of wanted.rows) {
      if (rows.length === AT_ONCE) break;
      if (kept.has(row) || coming.has(row)) continue;
      rows.push(row);
      coming.add(row);
    }
  document.body.dataset.coming = String(coming.size); // how many pictures are under way, for tests and timings
  return rows;
}

async function send() {
  while (flying < IN_FLIGHT) {
    const rows = next();
    if (!rows.length) return;
    flying += 1;
    fetched(rows).finally(() => {
      flying -= 1;
      send();
    });
  }
}

async function fetched(rows) {
  const pictures = await unpacked(rows);
  if (pictures) rows.forEach((row, i) => kept.set(row, pictures[i]));
  else await new Promise((done) => setTimeout(done, 1000)); // the server is away: wait before asking again
  trim();
  for (const row of rows) coming.delete(row);
  document.body.dataset.coming = String(coming.size);
  for (const { redraw } of [...wishes.values()]) redraw();
}

function unpacked(rows) {
  return new Promise((done) => {
    asked += 1;
    answers.set(asked, done);
    worker.postMessage({ id: asked, stamp, rows });
  });
}

function trim() {
  for (const [row, found] of kept) {
    if (kept.size <= KEPT) return;
    kept.delete(row);
    found?.close();
  }
}

// One tile: the picture, a plain one while it comes, or the word "missing".
export function drawTile(g, row, x, y, side) {
  const found = row === undefined ? undefined : picture(row);
  if (found) {
    g.imageSmoothingEnabled = found.width >= 16;
    g.imageSmoothingQuality = found.width > 2 * side ? "high" : "low";
    const cut = Math.min(found.width, found.height);
    g.drawImage(found, (found.width - cut) / 2, (found.height - cut) / 2, cut, cut, x, y, side, side);
    return;
  }
  g.fillStyle = colour("tile");
  g.fillRect(x, y, side, side);
  if (found === MISSING) {
    g.fillStyle = colour("muted");
    g.font = `${Math.max(9, Math.min(13, side / 6))}px system-ui, sans-serif`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.fillText("missing", x + side / 2, y + side / 2, side - 4);
  }
}
