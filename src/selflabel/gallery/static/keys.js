// The keys of the current view and those that work everywhere, each with its description: the lists are also the help.

import { el } from "./dom.js";

let globalKeys = [],
  viewKeys = [],
  viewName = "";

// keys: one or several, as in KeyboardEvent.key; "mod+" is Ctrl or Command; "shift+" where the character does not imply it.
// action: may be left out for a key that is described here and handled elsewhere.
export const key = (keys, description, action) => ({ keys: [keys].flat(), description, action });

export function setGlobalKeys(list) {
  globalKeys = list;
}

export function setViewKeys(name, list) {
  viewName = name;
  viewKeys = list;
}

function keyName(event) {
  const mod = event.ctrlKey || event.metaKey;
  const shift = event.shiftKey && (event.key.length > 1 || mod);
  return `${mod ? "mod+" : ""}${shift ? "shift+" : ""}${mod ? event.key.toLowerCase() : event.key}`;
}

const isTextField = (node) => node?.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  if (isTextField(event.target) && event.key !== "Escape") return;
  const name = keyName(event);
  // These press the control that has the focus.
  if (["Enter", " "].includes(name) && event.target.closest?.("button, a, summary, input")) return;
  const binding = [...viewKeys, ...globalKeys].find((k) => k.keys.includes(name));
  if (binding?.action) {
    event.preventDefault();
    binding.action(event);
  }
});

// ----------------------------------------------------------------------------------------------------------------- help

const KEY_LABELS = {
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

function helpSection(heading, list) {
  const keyCell = ({ keys }) =>
    el(
      "td",
      {},
      keys.map((name) => el("kbd", { text: KEY_LABELS[name] || name })),
    );
  const rows = list.map((binding) => el("tr", {}, keyCell(binding), el("td", { text: binding.description })));
  return el("section", {}, el("h3", { text: heading }), el("table", {}, el("tbody", {}, rows)));
}

export const keyHelp = () => el("div", { class: "keys" }, helpSection(viewName, viewKeys), helpSection("Everywhere", globalKeys));
