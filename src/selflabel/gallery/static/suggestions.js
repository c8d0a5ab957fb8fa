// Suggested edits, above the cards: clusters to merge, clusters to split, items worth a look.

import { splitInTwo } from "./actions.js";
import { getJson } from "./api.js";
import { button, el, scaledContext } from "./dom.js";
import { formatNumber, percent, plural } from "./format.js";
import { clusterTitle, store } from "./store.js";
import { cancelRequests, drawTile, requestPictures } from "./thumbs.js";

const TILE = 34,
  NARROW_PX = 700;
const isNarrow = () => innerWidth < NARROW_PX;

export class Suggestions {
  suggestedEdits = { merges: [], splits: [] };
  isExpanded = false; // shows all of them, or the first few
  strips = []; // [canvas, rows]

  // onmerge(ids): the user accepts a merge.
  constructor(onmerge) {
    this.onmerge = onmerge;
    this.node = el("section", { class: "hints", "aria-label": "Suggestions" });
    this.draw();
  }

  close() {
    cancelRequests(this);
  }

  async load() {
    const { version } = store.overview;
    if (this.version === version) return;
    this.version = version;
    const suggestedEdits = await getJson("/api/hints").catch(() => null); // the page works without them
    if (suggestedEdits?.version !== store.overview.version) return;
    this.suggestedEdits = suggestedEdits;
    this.draw();
  }

  draw() {
    this.strips = [];
    const lines = this.makeLines(),
      limit = isNarrow() ? 2 : 4,
      hidden = this.isExpanded ? 0 : lines.length - limit;
    const expand = () => {
      this.isExpanded = true;
      this.draw();
    };
    const more = hidden > 0 ? button(plural(hidden, "more suggestion"), "", expand, "link") : "";
    this.node.replaceChildren(el("ul", {}, hidden > 0 ? lines.slice(0, limit) : lines), more);
    const rows = this.strips.flatMap(([, rows]) => rows);
    requestPictures(this, rows, () => this.paint());
    this.paint();
  }

  // The strongest suggestions first: merges with the largest share, and splits with the deepest valley.
  makeLines() {
    const { merges, splits } = this.suggestedEdits;
    const ranked = [
      ...merges.map((merge) => [1 - merge.share, this.mergeLine(merge)]),
      ...splits.map((split) => [split.valley, this.splitLine(split)]),
    ];
    return [this.lookLine(), ...ranked.sort((a, b) => a[0] - b[0]).map(([, line]) => line)];
  }

  lookLine() {
    const text = el("p", {}, el("b", { text: "Worth a look: " }), "the items that the run is least sure of.");
    const open = () => {
      location.hash = "#/look";
    };
    return el("li", {}, text, button("Look", `${formatNumber(store.overview.n_items)} items (3)`, open));
  }

  mergeLine({ clusters: [a, b], share }) {
    const tiles = isNarrow() ? 1 : 2,
      meaning = "Of the smaller one's neighbours and doubt, the share that the other has";
    const note = el("span", { class: "muted", text: ` · ${percent(share)} shared`, title: meaning });
    const text = el("p", {}, clusterLink(a), " and ", clusterLink(b), " may be one", note);
    const pair = el("div", { class: "pair" }, this.makeStrip(rowsOf(a), tiles), this.makeStrip(rowsOf(b), tiles));
    const merge = button("Merge", "", () => this.onmerge([a, b]));
    return el("li", {}, pair, text, merge);
  }

  splitLine({ cluster, share, rows: [larger, smaller] }) {
    const tiles = isNarrow() ? 1 : 2,
      meaning = "Its items show two modes with a valley between; the smaller holds this share";
    const note = el("span", { class: "muted", text: ` · ${percent(share)} in the smaller`, title: meaning });
    const text = el("p", {}, clusterLink(cluster), " may be two", note);
    const pair = el("div", { class: "pair" }, this.makeStrip(larger, tiles), this.makeStrip(smaller, tiles));
    return el(
      "li",
      {},
      pair,
      text,
      button("Split in two", "", () => splitInTwo(cluster)),
    );
  }

  makeStrip(rows, n) {
    const canvas = el("canvas", { class: "strip", "aria-hidden": "true" });
    this.strips.push([canvas, rows.slice(0, n)]);
    return canvas;
  }

  paint() {
    for (const [canvas, rows] of this.strips) {
      const width = rows.length * (TILE + 1),
        g = scaledContext(canvas, width, TILE);
      canvas.style.width = `${width}px`;
      rows.forEach((row, i) => drawTile(g, row, i * (TILE + 1), 0, TILE));
    }
  }
}

const rowsOf = (id) => store.clustersById.get(id)?.rows ?? [];

const clusterLink = (id) => el("a", { href: `#/cluster/${id}`, text: clusterTitle(id) });
