// Every key the page knows, in one list a view; the same list is the help.

import { el } from "./dom.js";

const always = [];
let here = [];
let scope = "";

// key: as KeyboardEvent.key, "mod+" for Ctrl or Command, "shift+" where the sign itself does not say it.
export const key = (keys, what, action) => ({ keys: [keys].flat(), what, action });
export const setAlways = (list) => always.splice(0, always.length, ...list);
export function setKeys(name, list) {
  scope = name;
  here = list;
}

function spelled(event) {
  const shifted = event.shiftKey && event.key.length > 1;
  return `${event.ctrlKey || event.metaKey ? "mod+" : ""}${event.shiftKey && (shifted || event.ctrlKey || event.metaKey) ? "shift+" : ""}${
    event.ctrlKey || event.metaKey ? event.key.toLowerCase() : event.key
  }`;
}

const isTyping = (node) => node?.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  if (isTyping(event.target) && event.key !== "Escape") return;
  const pressed = spelled(event);
  if (["Enter", " "].includes(pressed) && event.target.closest?.("button, a, summary, input")) return;
  const found = [...here, ...always].find((k) => k.keys.includes(pressed));
  if (found?.action) {
    event.preventDefault();
    found.action(event);
  }
});

const shown = {
  " ": "Space",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  "mod+z": "Ctrl Z",
  "mod+shift+z": "Ctrl Shift Z",
  "mod+y": "Ctrl Y",
  "mod+a": "Ctrl A",
  Escape: "Esc",
  "shift+Arrows": "Shift ←↑↓→",
  Arrows: "←↑↓→",
};

function table(name, list) {
  const rows = list.map((k) =>
    el(
      "tr",
      {},
      el(
        "td",
        {},
        k.keys.map((one) => el("kbd", { text: shown[one] || one })),
      ),
      el("td", { text: k.what }),
    ),
  );
  return el("section", {}, el("h3", { text: name }), el("table", {}, el("tbody", {}, rows)));
}

export const help = () => el("div", { class: "keys" }, table(scope, here), table("Everywhere", always));
