// The bar at the top: the run's name, the views, what is done, undo and redo, export, theme and help.

import { exportLabels, redo, undo } from "./actions.js";
import { showHelp } from "./dialogs.js";
import { button, el } from "./dom.js";
import { formatNumber } from "./format.js";
import { store } from "./store.js";

// Address, title, key.
export const VIEWS = [
  ["#/", "Clusters", "1"],
  ["#/map", "Map", "2"],
  ["#/look", "Worth a look", "3"],
  ["#/rejected", "Rejected", "4"],
];
const THEMES = [
  ["light dark", "Theme: as the system"],
  ["light", "Theme: light"],
  ["dark", "Theme: dark"],
];
const bar = document.getElementById("top");

export function drawTopBar() {
  const { folder } = store.about;
  const name = el("a", { class: "run", href: "#/", title: folder }, el("b", { text: document.body.dataset.name }));
  const links = VIEWS.map(([href, text, keyName]) => el("a", { href, text, title: `${text} (${keyName})` }));
  const views = el("nav", { "aria-label": "Views" }, links);
  const progress = el("div", { class: "progress", id: "progress" });
  const tools = el(
    "div",
    { class: "tools" },
    el("button", { type: "button", id: "undo", text: "↶", "aria-label": "Undo", onclick: undo }),
    el("button", { type: "button", id: "redo", text: "↷", "aria-label": "Redo", onclick: redo }),
    button("Export", "Save the labels to a file (e)", exportLabels, "main"),
    el("button", { type: "button", id: "theme", text: "◐", onclick: changeTheme }),
    el("button", { type: "button", text: "?", title: "Keys (?)", "aria-label": "Keys", onclick: showHelp }),
  );
  bar.replaceChildren(name, views, progress, tools);
  labelThemeButton();
}

// The clusters' own pages and the search belong to the first view.
export function markCurrentView() {
  const current = location.hash || "#/",
    isOfFirst = /^#\/(cluster|search)/.test(current);
  for (const link of bar.querySelectorAll("nav a")) {
    const href = link.getAttribute("href");
    if (href === current || (href === "#/" && isOfFirst)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// ------------------------------------------------------------------------------------------------------------- progress

export function drawProgress() {
  const { progress, undo: undoText, redo: redoText } = store.overview;
  document.getElementById("progress").replaceChildren(...progressTexts(progress));
  labelUndoButton("undo", "Undo", undoText, "u or Ctrl Z");
  labelUndoButton("redo", "Redo", redoText, "U or Ctrl Shift Z");
  const rejected = bar.querySelector('nav a[href="#/rejected"]');
  rejected.hidden = !progress.rejected && location.hash !== "#/rejected";
  rejected.textContent = progress.rejected ? `Rejected ${formatNumber(progress.rejected)}` : "Rejected";
}

function progressTexts({ named, clusters, covered, items }) {
  const meter = el("progress", { max: "1", value: items ? covered / items : 0, "aria-label": "Items covered" });
  return [
    el(
      "span",
      { title: "Clusters that have a name" },
      el("b", { text: formatNumber(named) }),
      ` of ${formatNumber(clusters)} named`,
    ),
    el(
      "span",
      { title: "Items in a cluster with a name, rejected ones, and those that fit no cluster", class: "covered" },
      meter,
      el("b", { text: formatNumber(covered) }),
      ` of ${formatNumber(items)} items covered`,
    ),
  ];
}

// edit: what would be undone or redone, in words; "" for nothing.
function labelUndoButton(id, verb, edit, keyNames) {
  const node = document.getElementById(id);
  node.disabled = !edit;
  node.title = edit ? `${verb}: ${edit} (${keyNames})` : `Nothing to ${verb.toLowerCase()}`;
}

// ---------------------------------------------------------------------------------------------------------------- theme

const currentTheme = () => document.documentElement.style.colorScheme || THEMES[0][0];

export function changeTheme() {
  const index = THEMES.findIndex(([name]) => name === currentTheme());
  const [next] = THEMES[(index + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  document.documentElement.style.colorScheme = next;
  labelThemeButton();
  dispatchEvent(new Event("theme")); // canvases have to be drawn again
}

function labelThemeButton() {
  const node = document.getElementById("theme");
  const label = THEMES.find(([name]) => name === currentTheme())?.[1];
  node.title = `${label} (t)`;
  node.setAttribute("aria-label", node.title);
}
