// The panel that shows one item in full size, with its cluster, its probabilities and its neighbours.

import { getJson } from "./api.js";
import { clusterColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { percent } from "./format.js";
import { mediaPreview } from "./media-preview.js";
import { piecePreview } from "./piece-preview.js";
import { kindsOfPieces, pieceTitle } from "./pieces.js";
import { OUTLIERS, clusterTitle, store } from "./store.js";
import { cancelRequests, drawTile, requestPictures } from "./thumbs.js";

const DELAY_MS = 80,
  NEIGHBOUR_PX = 52,
  MAX_TOP_CLUSTERS = 5;

export class Details {
  // onopen(row): another item of the same file is asked for; it is shown here where that is left out.
  constructor(host, onopen = (row) => this.show(row)) {
    this.onopen = onopen;
    this.node = el("aside", { class: "details", "aria-label": "Details of the item" });
    host.append(this.node);
  }

  close() {
    cancelRequests(this);
    clearTimeout(this.timer);
    this.node.remove();
  }

  // After a moment, because an arrow key that is held down passes over many items.
  show(row) {
    clearTimeout(this.timer);
    this.row = row;
    this.timer = setTimeout(() => this.load(row), DELAY_MS);
  }

  async load(row) {
    if (row === undefined) return this.node.replaceChildren(el("p", { class: "muted", text: "No item." }));
    let item, parts;
    try {
      [item, parts] = await Promise.all([getJson(`/api/items/${row}`), this.loadParts(row)]);
    } catch (error) {
      return this.node.replaceChildren(el("p", { class: "bad", text: error.message }));
    }
    if (row !== this.row) return; // another one may have been asked for in the meantime
    const focused = this.node.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.draw(item, parts);
    if (focused) this.node.querySelector(`[data-focus="${focused}"]`)?.focus({ preventScroll: true });
  }

  // The items of the same file; asked for anew only for another file, or after an edit. Null in a run of whole files.
  async loadParts(row) {
    if (!kindsOfPieces()) return null;
    const { version } = store.overview;
    if (this.parts?.version !== version || !this.parts.all.has(row)) {
      const parts = await getJson(`/api/items/${row}/file`);
      this.parts = { ...parts, version, all: new Set(parts.rows) };
    }
    return this.parts;
  }

  draw(item, parts) {
    const neighbours = item.neighbours.map((row) => [row, el("canvas", { "aria-hidden": "true" })]);
    const nodes = [
      ...(item.piece ? [piecePreview(item, parts, this.onopen)] : mediaPreview(item)),
      el("h2", { class: "path", text: item.path }),
      item.piece && el("p", { class: "muted", text: pieceTitle(item.piece) }),
      el("p", {}, ...placeOf(item)),
      el("dl", { class: "facts" }, factsOf(item).map(drawFact)),
      el("h3", { text: "What the run took it for" }),
      el("ul", { class: "tops" }, item.top.slice(0, MAX_TOP_CLUSTERS).map(probabilityBar)),
      el("h3", { text: "Most like it" }),
      el(
        "div",
        { class: "nears" },
        neighbours.map(([row, canvas]) => this.neighbourButton(row, canvas)),
      ),
    ];
    this.node.replaceChildren(...nodes.filter(Boolean));
    const paint = () =>
      neighbours.forEach(([row, canvas]) => drawTile(scaledContext(canvas, NEIGHBOUR_PX, NEIGHBOUR_PX), row, 0, 0, NEIGHBOUR_PX));
    requestPictures(this, item.neighbours, paint);
    paint();
  }

  neighbourButton(row, canvas) {
    return el(
      "button",
      {
        type: "button",
        class: "near",
        title: `Item ${row}`,
        "aria-label": `Neighbour, item ${row}`,
        onclick: () => this.show(row),
      },
      canvas,
    );
  }
}

// The item's cluster, or that it fits none, with the nearest one.
function placeOf(item) {
  if (!item.is_outlier) return ["in ", clusterLink(item.cluster, item.piece ? item.row : null)];
  return [el("a", { href: "#/outliers", text: OUTLIERS }), "; nearest is ", clusterLink(item.cluster_before_reject)];
}

// With a row, the cluster is opened at that item.
const clusterLink = (id, row = null) =>
  el("a", { href: id < 0 ? "#/rejected" : `#/cluster/${id}${row === null ? "" : `/${row}`}`, text: clusterTitle(id) });

function factsOf(item) {
  const facts = [
    ["Confidence", percent(item.confidence, 1)],
    ["Neighbours alike", percent(item.agreement)],
  ];
  if (item.piece && item.piece.score !== null) facts.push(["Score", percent(item.piece.score, 1)]);
  if (item.class) facts.push(["Truth", item.class]);
  if (item.has_decision) facts.push(["Decided", "by hand"]);
  return facts;
}

const drawFact = ([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }));

function probabilityBar({ cluster, share }) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.max(1, 100 * share)}%`;
  fill.style.background = clusterColour(cluster);
  return el(
    "li",
    { title: clusterTitle(cluster) },
    el("span", { class: "what", text: clusterTitle(cluster) }),
    el("span", { class: "track" }, fill),
    el("span", { class: "muted", text: percent(share) }),
  );
}
