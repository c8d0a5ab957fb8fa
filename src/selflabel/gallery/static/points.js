// What the map draws: points by cluster, the density of a crowd as a haze, the line of a lasso. A view is { left, top, scale, w, h }.

import { colour, el, hue, sized } from "./dom.js";
import { selection } from "./store.js";

// points: { n, x, y, row, label }, in the order of their labels. Selected ones stand out; alone: the only cluster in colour.
export function drawPoints(g, { n, x, y, row, label }, { left, top, scale, w, h }, alone) {
  const size = Math.max(1.5, Math.min(9, Math.sqrt((scale * scale) / Math.max(n, 1)) / 4)),
    half = size / 2;
  const grey = hue(-1),
    some = selection.size > 0;
  let last = null,
    lit = null;
  for (const chosen of some ? [false, true] : [false])
    for (let i = 0; i < n; i++) {
      const px = (x[i] - left) * scale,
        py = (y[i] - top) * scale;
      if (px < -size || py < -size || px > w + size || py > h + size || (some && selection.has(row[i]) !== chosen)) continue;
      if (label[i] !== last || chosen !== lit) {
        [last, lit] = [label[i], chosen];
        const on = (alone === null || alone === last) && last >= 0;
        g.fillStyle = on ? hue(last) : grey;
        g.globalAlpha = chosen ? 1 : some ? 0.22 : on ? 0.85 : 0.3;
      }
      const side = chosen ? size + 1 : size;
      g.fillRect(px - half, py - half, side, side);
    }
  g.globalAlpha = 1;
}

// The density as a small picture: light where there are many, in the colour of one of them.
export function hazeOf({ cells, light, label }, alone) {
  const image = new ImageData(cells, cells),
    colours = new Map();
  const rgb = (c) => {
    if (!colours.has(c)) {
      const g = sized(el("canvas"), 1, 1);
      g.fillStyle = hue(alone === null || alone === c ? c : -1);
      g.fillRect(0, 0, 1, 1);
      colours.set(c, g.getImageData(0, 0, 1, 1).data);
    }
    return colours.get(c);
  };
  for (let i = 0; i < light.length; i++)
    if (light[i]) {
      image.data.set(rgb(label[i]), 4 * i);
      image.data[4 * i + 3] = 30 + light[i] * 0.55;
    }
  const picture = el("canvas", { width: cells, height: cells });
  picture.getContext("2d").putImageData(image, 0, 0);
  return picture;
}

export function drawHaze(g, picture, { left, top, right, bottom }, view) {
  g.imageSmoothingEnabled = true;
  g.drawImage(
    picture,
    (left - view.left) * view.scale,
    (top - view.top) * view.scale,
    (right - left) * view.scale,
    (bottom - top) * view.scale,
  );
}

export function drawLine(g, line, { left, top, scale }) {
  g.beginPath();
  for (const [x, y] of line) g.lineTo((x - left) * scale, (y - top) * scale);
  g.closePath();
  g.fillStyle = colour("accent");
  g.globalAlpha = 0.12;
  g.fill();
  g.globalAlpha = 1;
  g.strokeStyle = colour("accent");
  g.lineWidth = 2;
  g.stroke();
}
