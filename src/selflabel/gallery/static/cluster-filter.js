// Which clusters the overview lists, and in what order: the search field, the order, and the filter for those without a name.

import { button, el } from "./dom.js";
import { clusterTitle, inUse, store } from "./store.js";

const ORDERS = {
  size: ["Largest first", (a, b) => b.size - a.size],
  small: ["Smallest first", (a, b) => a.size - b.size],
  agreement: ["Least agreement first", (a, b) => a.agreement - b.agreement],
  confidence: ["Least confident first", (a, b) => a.confidence - b.confidence],
  purity: ["Least pure first", (a, b) => a.purity - b.purity],
  name: ["By name", (a, b) => clusterTitle(a.id).localeCompare(clusterTitle(b.id), "en", { numeric: true })],
  number: ["By number", (a, b) => a.id - b.id],
};
const settings = { order: "size", query: "", isUnnamedOnly: false }; // kept while the page is open

export class ClusterFilter {
  // onsearch: the user types. onchange: anything else has changed.
  constructor({ onsearch, onchange }) {
    Object.assign(this, { onsearch, onchange });
    this.search = this.makeSearch();
    this.node = el(
      "div",
      { class: "tools" },
      this.search,
      this.makeOrder(),
      el("label", { class: "check" }, this.makeUnnamedOnly(), "without a name only"),
    );
    this.findFiles = el("p", { class: "muted findfiles" });
  }

  makeSearch() {
    const search = el("input", {
      type: "search",
      value: settings.query,
      placeholder: "Find a cluster, or files",
      "aria-label": "Find a cluster by name or number, or files by their path",
      oninput: () => {
        settings.query = search.value;
        this.onsearch();
      },
    });
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && search.value.trim()) openFileSearch(search.value.trim());
      if (event.key === "Escape") {
        search.value = settings.query = "";
        this.onchange();
        search.blur();
      }
    });
    return search;
  }

  makeOrder() {
    const orders = Object.entries(ORDERS).filter(([name]) => name !== "purity" || store.about.truth);
    const select = el(
      "select",
      {
        "aria-label": "Order of the clusters",
        onchange: () => {
          settings.order = select.value;
          this.onchange();
        },
      },
      orders.map(([value, [text]]) => el("option", { value, text })),
    );
    select.value = settings.order;
    return select;
  }

  makeUnnamedOnly() {
    const checkbox = el("input", {
      type: "checkbox",
      checked: settings.isUnnamedOnly,
      onchange: () => {
        settings.isUnnamedOnly = checkbox.checked;
        this.onchange();
      },
    });
    return checkbox;
  }

  // The clusters that fit, in order.
  clusters() {
    const query = settings.query.trim().toLowerCase();
    const matches = ({ id, class: className }) =>
      !query || clusterTitle(id).toLowerCase().includes(query) || String(id) === query || className?.toLowerCase() === query;
    const fits = (c) => matches(c) && !(settings.isUnnamedOnly && c.name);
    const [, compare] = ORDERS[settings.order] || ORDERS.size;
    return inUse().filter(fits).sort(compare);
  }

  // Below the tools: the same words can be searched for in the files' paths.
  drawFindFiles() {
    const query = settings.query.trim();
    const link = () => button(`Find files whose path holds “${query}”`, "Enter", () => openFileSearch(query), "link");
    this.findFiles.replaceChildren(...(query ? [link()] : []));
  }
}

function openFileSearch(query) {
  location.hash = `#/search/${encodeURIComponent(query)}`;
}
