// What may be worth doing, above the cards: clusters that may be one, clusters that may be two, items worth a look.

import { getJson } from "./api.js";
import { button, el, many, number, percent, sized } from "./dom.js";
import { edit, store, title } from "./store.js";
import { drawTile, forget, wish } from "./thumbs.js";

const TILE = 34,
  NARROW = 700;

export class Suggestions {
  found = { merges: [], splits: [] };
  all = false; // or a few
  strips = [];

  constructor(onmerge) {
    this.onmerge = onmerge;
    this.node = el("section", { class: "hints", "aria-label": "Suggestions" });
    this.draw();
  }

  close() {
    forget(this);
  }

  async load() {
    const { version } = store.overview;
    if (this.version === version) return;
    this.version = version;
    const found = await getJson("/api/hints").catch(() => null); // they are only suggestions
    if (found?.version !== store.overview.version) return;
    this.found = found;
    this.draw();
  }

  draw() {
    this.strips = [];
    const { merges, splits } = this.found;
    const cards = [...merges.map((m) => [1 - m.share, this.merging(m)]), ...splits.map((s) => [s.valley, this.splitting(s)])];
    const lines = [this.looking(), ...cards.sort((a, b) => a[0] - b[0]).map(([, node]) => node)];
    const few = innerWidth < NARROW ? 2 : 4,
      hidden = this.all ? 0 : lines.length - few;
    const more =
      hidden > 0
        ? button(
            many(hidden, "more suggestion"),
            "",
            () => {
              this.all = true;
              this.draw();
            },
            "link",
          )
        : "";
    this.node.replaceChildren(el("ul", {}, hidden > 0 ? lines.slice(0, few) : lines), more);
    wish(
      this,
      this.strips.flatMap(([, rows]) => rows),
      () => this.paint(),
    );
    this.paint();
  }

  looking() {
    const words = el("p", {}, el("b", { text: "Worth a look: " }), "the items that the run is least sure of.");
    const go = () => {
      location.hash = "#/look";
    };
    return el("li", {}, words, button("Look", `${number(store.overview.n_items)} items (3)`, go));
  }

  merging({ clusters: [a, b], share }) {
    const tiles = innerWidth < NARROW ? 1 : 2,
      why = "Of the smaller one's neighbours and doubt, the share that the other has";
    const words = el(
      "p",
      {},
      link(a),
      " and ",
      link(b),
      " may be one",
      el("span", { class: "muted", text: ` · ${percent(share)} shared`, title: why }),
    );
    return el(
      "li",
      {},
      el("div", { class: "pair" }, this.strip(a, tiles), this.strip(b, tiles)),
      words,
      button("Merge", "", () => this.onmerge([a, b])),
    );
  }

  splitting({ cluster, share }) {
    const tiles = innerWidth < NARROW ? 2 : 4,
      why = "Its items show two modes with a valley between; the smaller holds this share";
    const words = el(
      "p",
      {},
      link(cluster),
      " may be two",
      el("span", { class: "muted", text: ` · ${percent(share)} in the smaller`, title: why }),
    );
    const split = () => edit({ do: "split", cluster, parts: 2 });
    return el("li", {}, el("div", { class: "pair" }, this.strip(cluster, tiles)), words, button("Split in two", "", split));
  }

  strip(id, n) {
    const canvas = el("canvas", { class: "strip", "aria-hidden": "true" });
    this.strips.push([canvas, store.byId.get(id)?.rows.slice(0, n) || []]);
    return canvas;
  }

  paint() {
    for (const [canvas, rows] of this.strips) {
      const width = rows.length * (TILE + 1),
        g = sized(canvas, width, TILE);
      canvas.style.width = `${width}px`;
      rows.forEach((row, i) => drawTile(g, row, i * (TILE + 1), 0, TILE));
    }
  }
}

const link = (id) => el("a", { href: `#/cluster/${id}`, text: title(id) });
