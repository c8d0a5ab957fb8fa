// Elements made in code. Text is always text: nothing that a file or a cluster is called is ever read as HTML.

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (["value", "checked", "disabled", "indeterminate", "muted", "loop", "autoplay", "controls"].includes(name))
      node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const number = (n) => n.toLocaleString("en");
export const percent = (share, digits = 0) => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : digits)}%`;
export const many = (n, thing) => `${number(n)} ${thing}${n === 1 ? "" : "s"}`;

export function button(text, title, onclick, kind = "") {
  return el("button", { type: "button", class: kind, text, title, onclick });
}

// A canvas as sharp as the screen: the context draws in CSS pixels.
export function sized(canvas, width, height) {
  const dots = Math.min(window.devicePixelRatio || 1, 2);
  const w = Math.max(1, Math.round(width * dots)),
    h = Math.max(1, Math.round(height * dots));
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const g = canvas.getContext("2d");
  g.setTransform(dots, 0, 0, dots, 0, 0);
  return g;
}

// A colour of the style sheet as the canvas needs it, in the theme of the moment.
const probe = el("span", { hidden: true });
const mixed = new Map();
addEventListener("theme", () => mixed.clear());
export function colour(name) {
  if (!mixed.has(name)) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--${name})`;
    mixed.set(name, getComputedStyle(probe).color);
  }
  return mixed.get(name);
}

let dark = null; // until the theme changes
addEventListener("theme", () => (dark = null));
const isDark = () => (dark ??= looksDark());

const looksDark = () => {
  const scheme = document.documentElement.style.colorScheme;
  return scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
};

// Cluster colours: hues a golden angle apart, so that near numbers differ.
export function hue(cluster) {
  if (cluster < 0) return isDark() ? "#5c626d" : "#b4b8c0";
  const turn = (cluster * 137.508 + 212) % 360,
    ring = Math.floor(cluster / 12) % 3;
  const light = isDark() ? [66, 76, 57][ring] : [46, 36, 56][ring];
  return `hsl(${turn.toFixed(1)} ${[58, 48, 38][ring]}% ${light}%)`;
}
