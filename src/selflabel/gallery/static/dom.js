// Elements made in code. Text is always set as text: no name of a file or a cluster is ever parsed as HTML.

const PROPERTIES = ["value", "checked", "disabled", "indeterminate", "muted", "loop", "autoplay", "controls"];

// props: attributes; "on..." adds an event listener, "text" sets the text. Values and children that are null or false are left out.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (PROPERTIES.includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function button(text, title, onclick, className = "") {
  return el("button", { type: "button", class: className, text, title, onclick });
}

// Sizes a canvas for the screen's pixel density, up to 2; the context that is returned draws in CSS pixels.
export function scaledContext(canvas, width, height) {
  const density = Math.min(window.devicePixelRatio || 1, 2);
  const w = Math.max(1, Math.round(width * density)),
    h = Math.max(1, Math.round(height * density));
  // Setting a canvas's size clears it and costs time, even where the size stays.
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const g = canvas.getContext("2d");
  g.setTransform(density, 0, 0, density, 0, 0);
  return g;
}
