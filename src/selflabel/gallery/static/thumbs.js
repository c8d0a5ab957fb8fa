// Small pictures by row: requested many at a time, cached, and drawn on any canvas.

import { themeColour } from "./colours.js";

const BUNDLE_ROWS = 48,
  MAX_BUNDLES = 3, // under way at a time
  MAX_CACHED = 2500,
  RETRY_MS = 1000;
export const MISSING = null;

const cache = new Map(); // row -> ImageBitmap or MISSING, the least recently used first
const pending = new Set(); // rows under way
const requests = new Map(); // owner -> { rows, redraw }
const stamp = document.body.dataset.stamp;

// ------------------------------------------------------------------------------------------------------------- requests

// The rows that an owner shows now. They replace its earlier ones, so that fast scrolling loads little that is out of sight.
export function requestPictures(owner, rows, redraw) {
  requests.set(owner, { rows, redraw });
  sendBundles();
}

export const cancelRequests = (owner) => requests.delete(owner);

// The picture; undefined until it is there.
export function picture(row) {
  const bitmap = cache.get(row);
  if (bitmap !== undefined) {
    // Inserted again, it is the most recently used.
    cache.delete(row);
    cache.set(row, bitmap);
  }
  return bitmap;
}

// Missing files may be back.
export function retryMissing() {
  for (const [row, bitmap] of cache) if (bitmap === MISSING) cache.delete(row);
}

let bundlesUnderWay = 0;
function sendBundles() {
  while (bundlesUnderWay < MAX_BUNDLES) {
    const rows = nextBundle();
    if (!rows.length) return;
    bundlesUnderWay += 1;
    load(rows).finally(() => {
      bundlesUnderWay -= 1;
      sendBundles();
    });
  }
}

function nextBundle() {
  const bundle = [];
  for (const { rows } of requests.values())
    for (const row of rows) {
      if (bundle.length === BUNDLE_ROWS) break;
      if (cache.has(row) || pending.has(row)) continue;
      bundle.push(row);
      pending.add(row);
    }
  showPending();
  return bundle;
}

async function load(rows) {
  const pictures = await decode(rows);
  if (pictures) rows.forEach((row, i) => cache.set(row, pictures[i]));
  else await new Promise((done) => setTimeout(done, RETRY_MS)); // the server is gone: do not ask again at once
  trimCache();
  for (const row of rows) pending.delete(row);
  showPending();
  for (const { redraw } of [...requests.values()]) redraw();
}

function trimCache() {
  for (const [row, bitmap] of cache) {
    if (cache.size <= MAX_CACHED) return;
    cache.delete(row);
    bitmap?.close();
  }
}

// Tests and timings wait until no picture is under way.
const showPending = () => (document.body.dataset.coming = String(pending.size));

// --------------------------------------------------------------------------------------------------------------- worker

const worker = new Worker("/static/thumbs-worker.js");
const resolvers = new Map(); // id of a bundle -> function that takes its pictures
let lastId = 0;

worker.onmessage = ({ data: { id, pictures } }) => {
  resolvers.get(id)(pictures);
  resolvers.delete(id);
};

// The decoded pictures of the rows, MISSING among them; null where the server did not respond.
function decode(rows) {
  return new Promise((resolve) => {
    lastId += 1;
    resolvers.set(lastId, resolve);
    worker.postMessage({ id: lastId, stamp, rows });
  });
}

// -------------------------------------------------------------------------------------------------------------- drawing

// One square tile: the middle of the picture, a plain tile while it loads, or the word "missing".
export function drawTile(g, row, x, y, side) {
  const bitmap = row === undefined ? undefined : picture(row);
  if (!bitmap) return drawPlainTile(g, bitmap === MISSING ? "missing" : "", x, y, side);
  g.imageSmoothingEnabled = bitmap.width >= 16; // tiny images are shown as pixels
  g.imageSmoothingQuality = bitmap.width > 2 * side ? "high" : "low";
  const crop = Math.min(bitmap.width, bitmap.height);
  g.drawImage(bitmap, (bitmap.width - crop) / 2, (bitmap.height - crop) / 2, crop, crop, x, y, side, side);
}

function drawPlainTile(g, text, x, y, side) {
  g.fillStyle = themeColour("tile");
  g.fillRect(x, y, side, side);
  if (!text) return;
  g.fillStyle = themeColour("muted");
  g.font = `${Math.max(9, Math.min(13, side / 6))}px system-ui, sans-serif`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.fillText(text, x + side / 2, y + side / 2, side - 4);
}
