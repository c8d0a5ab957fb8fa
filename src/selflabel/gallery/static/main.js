// The page: opens the run, shows the view that the address after # names, and sets the keys that work everywhere.

import { exportLabels, hasUnsent, openUnsent, redo, undo } from "./actions.js";
import { getJson } from "./api.js";
import { showHelp } from "./dialogs.js";
import { el } from "./dom.js";
import { showItems } from "./items.js";
import { key, setGlobalKeys } from "./keys.js";
import { showMap } from "./map.js";
import { showOverview } from "./overview.js";
import { startPolling } from "./polling.js";
import { onChange, refresh, store } from "./store.js";
import { retryMissing } from "./thumbs.js";
import { VIEWS, changeTheme, drawProgress, drawTopBar, markCurrentView } from "./top-bar.js";

const main = document.getElementById("main");
let closeView = () => {};

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

function showView() {
  const [, view, rest = "", row = ""] = location.hash.split("/");
  closeView();
  document.body.dataset.view = view || "overview";
  retryMissing();
  closeView = openView(view, rest, row);
  markCurrentView();
}

// Unknown addresses, and those of clusters that are gone, show the overview.
function openView(view, rest, row) {
  if (view === "map") return showMap(main);
  if (view === "look") return showItems(main, "all");
  if (view === "rejected" || view === "outliers") return showItems(main, view);
  if (view === "search") return showItems(main, "search", { query: decodeURIComponent(rest) });
  if (view === "cluster" && store.clustersById.has(Number(rest))) return showItems(main, rest, { row });
  return showOverview(main);
}

const viewKey = ([href, title, keyName]) =>
  key(keyName, title, () => {
    location.hash = href;
  });

setGlobalKeys([
  ...VIEWS.map(viewKey),
  key(["u", "mod+z"], "undo", undo),
  key(["U", "mod+shift+z", "mod+y"], "redo", redo),
  key("e", "export", exportLabels),
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
  drawTopBar();
  drawProgress();
  onChange(drawProgress);
  showSourceError();
  addEventListener("hashchange", showView);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
  addEventListener("beforeunload", (event) => {
    if (hasUnsent()) event.preventDefault();
  });
  showView();
  startPolling();
  await openUnsent();
}

function showSourceError() {
  const { source_error: error } = store.about;
  if (!error) return;
  const text = `The items’ own files cannot be shown: ${error.replace(/\.$/, "")}.`;
  document.getElementById("notices").append(el("p", { class: "banner", role: "alert", text }));
}

start();
