// What a map draws: points by cluster, the density of a crowded window as a haze, and the line of a lasso.
// view: { left, top, scale } of the plane, and { width, height } in pixels. onlyCluster: the only one in colour, or null for all.

import { clusterColour, themeColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { selection } from "./selection.js";

// Selected points are drawn last and larger, the others faint.
export function drawPoints(g, points, view, onlyCluster) {
  const size = pointSize(points.n, view.scale);
  if (!selection.size) drawLayer(g, points, view, size, () => true, styleOf(onlyCluster, 0.85, 0.3));
  else {
    drawLayer(g, points, view, size, (row) => !selection.has(row), styleOf(onlyCluster, 0.22, 0.22));
    drawLayer(g, points, view, size, (row) => selection.has(row), styleOf(onlyCluster, 1, 1), 1);
  }
  g.globalAlpha = 1;
}

// In pixels: larger where there are few points, or where they are far apart.
const pointSize = (n, scale) => Math.max(1.5, Math.min(9, Math.sqrt((scale * scale) / Math.max(n, 1)) / 4));

// cluster -> [colour, opacity].
const styleOf = (onlyCluster, alpha, greyAlpha) => (cluster) =>
  cluster >= 0 && (onlyCluster === null || onlyCluster === cluster)
    ? [clusterColour(cluster), alpha]
    : [clusterColour(-1), greyAlpha];

function drawLayer(g, { n, x, y, row, label }, { left, top, scale, width, height }, size, isInLayer, style, extra = 0) {
  const half = size / 2,
    side = size + extra;
  let lastLabel = null;
  for (let i = 0; i < n; i++) {
    const px = (x[i] - left) * scale,
      py = (y[i] - top) * scale;
    if (px < -size || py < -size || px > width + size || py > height + size || !isInLayer(row[i])) continue;
    // Points come sorted by label, and setting a colour is slow.
    if (label[i] !== lastLabel) {
      lastLabel = label[i];
      [g.fillStyle, g.globalAlpha] = style(lastLabel);
    }
    g.fillRect(px - half, py - half, side, side);
  }
}

// The density as a small picture: opaque where there are many items, in the colour of the cluster of one of them.
export function densityPicture({ cells, light, label }, onlyCluster) {
  const image = new ImageData(cells, cells),
    colours = new Map();
  const rgbOf = (cluster) => {
    if (!colours.has(cluster)) {
      const isShown = onlyCluster === null || onlyCluster === cluster;
      colours.set(cluster, toRgb(clusterColour(isShown ? cluster : -1)));
    }
    return colours.get(cluster);
  };
  for (let i = 0; i < light.length; i++)
    if (light[i]) {
      image.data.set(rgbOf(label[i]), 4 * i);
      image.data[4 * i + 3] = 30 + light[i] * 0.55;
    }
  const canvas = el("canvas", { width: cells, height: cells });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Of any colour that CSS can express.
function toRgb(colour) {
  const g = scaledContext(el("canvas"), 1, 1);
  g.fillStyle = colour;
  g.fillRect(0, 0, 1, 1);
  return g.getImageData(0, 0, 1, 1).data;
}

// window: { left, top, right, bottom } of the plane that the picture covers.
export function drawDensity(g, picture, window, view) {
  g.imageSmoothingEnabled = true;
  g.drawImage(
    picture,
    (window.left - view.left) * view.scale,
    (window.top - view.top) * view.scale,
    (window.right - window.left) * view.scale,
    (window.bottom - window.top) * view.scale,
  );
}

export function drawLasso(g, line, { left, top, scale }) {
  g.beginPath();
  for (const [x, y] of line) g.lineTo((x - left) * scale, (y - top) * scale);
  g.closePath();
  g.fillStyle = themeColour("accent");
  g.globalAlpha = 0.12;
  g.fill();
  g.globalAlpha = 1;
  g.strokeStyle = themeColour("accent");
  g.lineWidth = 2;
  g.stroke();
}

export function drawFocusFrame(g, { width, height }) {
  g.strokeStyle = themeColour("accent");
  g.lineWidth = 4;
  g.strokeRect(2, 2, width - 4, height - 4);
}
