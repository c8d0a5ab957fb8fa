// The page: its head, which view is shown (by the address after #), and the keys that work everywhere.

import { getJson } from "./api.js";
import { exportDialog, showHelp } from "./dialogs.js";
import { button, el, number } from "./dom.js";
import { showItems } from "./items.js";
import { key, setAlways } from "./keys.js";
import { showMap } from "./map.js";
import { showOverview } from "./overview.js";
import { onChange, redo, refresh, store, undo, watch } from "./store.js";
import { retryMissing } from "./thumbs.js";

const main = document.getElementById("main"),
  top_ = document.getElementById("top");
const THEMES = ["light dark", "light", "dark"],
  THEME_WORDS = { "light dark": "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
let leave = () => {};

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

const VIEWS = [
  ["#/", "Clusters", "1"],
  ["#/map", "Map", "2"],
  ["#/look", "Worth a look", "3"],
  ["#/rejected", "Rejected", "4"],
];

function route() {
  const [, view, rest = ""] = location.hash.split("/");
  leave();
  document.body.dataset.view = view || "overview";
  retryMissing();
  if (view === "map") leave = showMap(main);
  else if (view === "look") leave = showItems(main, "all");
  else if (view === "rejected") leave = showItems(main, "rejected");
  else if (view === "search") leave = showItems(main, "search", decodeURIComponent(rest));
  else if (view === "cluster" && store.byId.has(Number(rest))) leave = showItems(main, rest);
  else leave = showOverview(main);
  drawTabs();
}

function drawTabs() {
  const now = location.hash || "#/";
  for (const link of top_.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === now || (link.getAttribute("href") === "#/" && /^#\/(cluster|search)/.test(now));
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
}

function drawTop() {
  const { about } = store;
  const name = el("a", { class: "run", href: "#/", title: about.folder }, el("b", { text: document.body.dataset.name }));
  const nav = el(
    "nav",
    { "aria-label": "Views" },
    VIEWS.map(([href, text, k]) => el("a", { href, text, title: `${text} (${k})` })),
  );
  const progress = el("div", { class: "progress", id: "progress" });
  const tools = el(
    "div",
    { class: "tools" },
    el("button", { type: "button", id: "undo", text: "↶", "aria-label": "Undo", onclick: undo }),
    el("button", { type: "button", id: "redo", text: "↷", "aria-label": "Redo", onclick: redo }),
    button("Export", "Take the labels away (e)", exportDialog, "main"),
    el("button", { type: "button", id: "theme", text: "◐", onclick: changeTheme }),
    el("button", { type: "button", text: "?", title: "Keys (?)", "aria-label": "Keys", onclick: showHelp }),
  );
  top_.replaceChildren(name, nav, progress, tools);
  sayTheme();
}

function drawProgress() {
  const { progress: p, undo: back, redo: again } = store.overview;
  const share = p.items ? p.covered / p.items : 0;
  const meter = el("progress", { max: "1", value: share, "aria-label": "Items covered" });
  document
    .getElementById("progress")
    .replaceChildren(
      el("span", { title: "Clusters that have a name" }, el("b", { text: number(p.named) }), ` of ${number(p.clusters)} named`),
      el(
        "span",
        { title: "Items in a cluster with a name, and rejected ones", class: "covered" },
        meter,
        el("b", { text: number(p.covered) }),
        ` of ${number(p.items)} items covered`,
      ),
    );
  const say = (id, what, word, keys) => {
    const node = document.getElementById(id);
    node.disabled = !what;
    node.title = what ? `${word}: ${what} (${keys})` : `Nothing to ${word.toLowerCase()}`;
  };
  say("undo", back, "Undo", "u or Ctrl Z");
  say("redo", again, "Redo", "U or Ctrl Shift Z");
  const rejected = top_.querySelector('nav a[href="#/rejected"]');
  rejected.hidden = !p.rejected && location.hash !== "#/rejected";
  rejected.textContent = p.rejected ? `Rejected ${number(p.rejected)}` : "Rejected";
}

function changeTheme() {
  const now = document.documentElement.style.colorScheme || THEMES[0];
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  localStorage.setItem("theme", next);
  document.documentElement.style.colorScheme = next;
  sayTheme();
  dispatchEvent(new Event("theme"));
}

function sayTheme() {
  const node = document.getElementById("theme");
  node.title = `${THEME_WORDS[document.documentElement.style.colorScheme || THEMES[0]]} (t)`;
  node.setAttribute("aria-label", node.title);
}

setAlways([
  ...VIEWS.map(([href, text, k]) =>
    key(k, text, () => {
      location.hash = href;
    }),
  ),
  key(["u", "mod+z"], "undo", undo),
  key(["U", "mod+shift+z", "mod+y"], "redo", redo),
  key("e", "export", exportDialog),
  key("t", "theme: light, dark or the system's", changeTheme),
  key("?", "these keys", showHelp),
]);

async function start() {
  try {
    store.about = await getJson("/api/about");
    await refresh();
  } catch (error) {
    main.replaceChildren(el("p", { class: "waiting bad", text: error.message }));
    return;
  }
  drawTop();
  drawProgress();
  onChange(drawProgress);
  if (store.about.trouble)
    document.body.insertBefore(
      el("p", { class: "banner", role: "alert", text: `Pictures cannot be shown: ${store.about.trouble}.` }),
      main,
    );
  addEventListener("hashchange", route);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
  route();
  watch();
}

start();
