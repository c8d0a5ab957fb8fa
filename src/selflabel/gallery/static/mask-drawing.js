// A mask on a canvas: a translucent colour with an outline that is as thick at every size.

import { el } from "./dom.js";

const FILL_ALPHA = 0.35,
  OUTLINE_PX = 1.5,
  MAX_SIDE = 2048; // of the canvas, in pixels

// Draws the picture of a mask, and again whenever the canvas changes its size. colour(): of the cluster.
export function drawMask(canvas, address, colour) {
  const picture = el("img");
  const draw = () => picture.complete && picture.naturalWidth && paint(canvas, picture, colour());
  picture.addEventListener("load", draw);
  picture.src = address;
  new ResizeObserver(draw).observe(canvas);
}

function paint(canvas, picture, colour) {
  const density = Math.min(devicePixelRatio || 1, 2),
    { clientWidth, clientHeight } = canvas;
  if (!clientWidth || !clientHeight) return;
  const factor = Math.min(density, MAX_SIDE / Math.max(clientWidth, clientHeight));
  const size = { width: Math.max(1, Math.round(clientWidth * factor)), height: Math.max(1, Math.round(clientHeight * factor)) };
  const solid = tinted(picture, size, colour);
  const outline = outlineOf(solid, size, OUTLINE_PX * factor);
  Object.assign(canvas, size);
  const g = canvas.getContext("2d");
  g.globalAlpha = FILL_ALPHA;
  g.drawImage(solid, 0, 0);
  g.globalAlpha = 1;
  g.drawImage(outline, 0, 0);
}

function tinted(picture, size, colour) {
  const solid = el("canvas", size),
    g = solid.getContext("2d");
  g.imageSmoothingQuality = "high";
  g.drawImage(picture, 0, 0, size.width, size.height);
  g.globalCompositeOperation = "source-in";
  g.fillStyle = colour;
  g.fillRect(0, 0, size.width, size.height);
  return solid;
}

// The pixels of the mask from which one that is not in it is at most so far away: what is left of it when copies that are moved in
// all directions are cut out of one another.
function outlineOf(solid, size, width) {
  const inner = el("canvas", size),
    g = inner.getContext("2d");
  g.drawImage(solid, 0, 0);
  g.globalCompositeOperation = "destination-in";
  for (let i = 0; i < 8; i++) g.drawImage(solid, width * Math.cos((i * Math.PI) / 4), width * Math.sin((i * Math.PI) / 4));
  const outline = el("canvas", size),
    o = outline.getContext("2d");
  o.drawImage(solid, 0, 0);
  o.globalCompositeOperation = "destination-out";
  o.drawImage(inner, 0, 0);
  return outline;
}
