// Colours of the style sheet and of the clusters, in the current theme, in a form that a canvas accepts.

import { el } from "./dom.js";

const probe = el("span", { hidden: true });
const colourCache = new Map(); // name -> colour
let dark = null; // unknown until it is asked for

addEventListener("theme", () => {
  colourCache.clear();
  dark = null;
});

// A canvas knows neither var() nor light-dark(): the browser resolves them on a hidden element.
export function themeColour(name) {
  if (!colourCache.has(name)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    colourCache.set(name, getComputedStyle(probe).color);
  }
  return colourCache.get(name);
}

const isDark = () => (dark ??= readIsDark());

function readIsDark() {
  const scheme = document.documentElement.style.colorScheme;
  return scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

// Hues a golden angle apart, so that clusters with close numbers differ; grey for rejected items.
export function clusterColour(cluster) {
  if (cluster < 0) return isDark() ? "#5c626d" : "#b4b8c0";
  const hue = (cluster * 137.508 + 212) % 360,
    ring = Math.floor(cluster / 12) % 3;
  const lightness = isDark() ? [66, 76, 57][ring] : [46, 36, 56][ring];
  return `hsl(${hue.toFixed(1)} ${[58, 48, 38][ring]}% ${lightness}%)`;
}
