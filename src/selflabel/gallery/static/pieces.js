// Where items lie in their files, by row: requested many at a time, as small pictures are. A run of whole files has none.

import { getJson } from "./api.js";
import { clockSpan } from "./format.js";
import { store } from "./store.js";

const BUNDLE_ROWS = 256,
  MAX_CACHED = 50_000;
const cache = new Map(); // row -> { span, box, size, score } or null for a whole file
const pending = new Map(); // row -> promise of its bundle

// Of the run: { spans, boxes, scores, regions }, or null.
export const kindsOfPieces = () => store.about.pieces;

// Undefined until it is there.
export const pieceOf = (row) => cache.get(row);

// Loads those of some rows that are not there yet, then calls redraw.
export function requestPieces(rows, redraw) {
  if (!kindsOfPieces()) return;
  const wanted = rows.filter((row) => !cache.has(row) && !pending.has(row));
  for (let i = 0; i < wanted.length; i += BUNDLE_ROWS) load(wanted.slice(i, i + BUNDLE_ROWS)).then(redraw, () => {});
}

function load(rows) {
  const bundle = getJson(`/api/pieces?rows=${rows.join(",")}`)
    .then(({ pieces }) => rows.forEach((row, i) => cache.set(row, pieces[i])))
    .finally(() => rows.forEach((row) => pending.delete(row)));
  for (const row of rows) pending.set(row, bundle);
  for (const row of cache.keys()) if (cache.size > MAX_CACHED) cache.delete(row);
  return bundle;
}

// Resolves to the piece of one row; to null for a whole file, and where the server does not answer.
export async function loadPiece(row) {
  if (!kindsOfPieces()) return null;
  if (!cache.has(row)) await (pending.get(row) ?? load([row])).catch(() => {});
  return cache.get(row) ?? null;
}

// "0:12.0–0:15.0", "120 × 80 px at 40, 12", or both; "" for a whole file.
export function pieceTitle(piece) {
  if (!piece) return "";
  return [piece.span && clockSpan(piece.span), piece.box && boxTitle(piece)].filter(Boolean).join(", ");
}

function boxTitle({ box: [x0, y0, x1, y1], size: [width, height] }) {
  const [left, top, across, down] = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height].map(Math.round);
  return `${across} × ${down} px at ${left}, ${top}`;
}
