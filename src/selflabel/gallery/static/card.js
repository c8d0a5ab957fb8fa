// A cluster's card: a mosaic of its most typical items, its name, and three or four numbers.

import { colour, el, hue, many, number, percent, sized } from "./dom.js";
import { nameField } from "./naming.js";
import { title } from "./store.js";
import { MISSING, drawTile, picture } from "./thumbs.js";

const ACROSS = 4,
  DOWN = 3;

export class Card {
  rows = [];
  near = false; // the window, so that its pictures are wanted

  constructor(id, { onpick, onkey, onfocus }) {
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.cover = el("a", { class: "cover", href: `#/cluster/${id}`, tabindex: "-1" }, this.canvas);
    let withShift = false;
    this.pick = el("input", {
      type: "checkbox",
      "aria-label": `Pick cluster ${id}`,
      onclick: (event) => {
        withShift = event.shiftKey;
      },
      onchange: () => onpick(withShift),
    });
    this.name = nameField(id);
    this.name.addEventListener("keydown", onkey);
    this.facts = el("dl", { class: "facts" });
    this.size = el("span", { class: "size" });
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = hue(id);
    this.node = el(
      "article",
      { class: "card", role: "listitem", "data-id": String(id), onfocusin: onfocus },
      this.cover,
      el("label", { class: "pick" }, this.pick),
      el("div", { class: "line" }, swatch, this.name, this.size),
      this.facts,
    );
    this.node.card = this;
    this.setStop(false);
  }

  fill(c, picked) {
    this.setPicked(picked);
    const told = JSON.stringify(c);
    if (told === this.told) return;
    this.told = told;
    this.rows = c.rows;
    this.name.show();
    this.node.setAttribute("aria-label", `${title(c.id)}, ${many(c.size, "item")}`);
    this.cover.title = `Open ${title(c.id)}`;
    this.cover.setAttribute("aria-label", this.cover.title);
    this.size.textContent = number(c.size);
    this.size.title = many(c.size, "item");
    const facts = [
      ["agree", c.agreement, "of the neighbours of its items are in it too"],
      ["sure", c.confidence, "mean confidence"],
    ];
    if (c.purity !== undefined) facts.push(["pure", c.purity, `of its items are of class “${c.class}” in truth`]);
    this.facts.replaceChildren(
      ...facts.map(([name, share, why]) =>
        el("div", { title: `${percent(share)} ${why}` }, el("dd", { text: percent(share) }), el("dt", { text: name })),
      ),
    );
  }

  setPicked(on) {
    this.pick.checked = on;
    this.node.classList.toggle("picked", on);
  }

  // Whether it is in the tab order, with what is in it.
  setStop(on) {
    for (const node of [this.node, this.name, this.pick]) node.setAttribute("tabindex", on ? "0" : "-1");
  }

  // Only where something is new: an unchanged canvas costs the browser nothing.
  paint() {
    const width = this.canvas.clientWidth,
      side = (width - ACROSS + 1) / ACROSS;
    const look = [width, colour("tile"), ...this.rows.map((row) => `${row}${state(row)}`)].join();
    if (width <= 0 || look === this.look) return;
    this.look = look;
    const g = sized(this.canvas, width, side * DOWN + DOWN - 1);
    g.clearRect(0, 0, width, side * DOWN + DOWN);
    this.rows.forEach((row, i) => drawTile(g, row, (i % ACROSS) * (side + 1), Math.floor(i / ACROSS) * (side + 1), side));
  }
}

const state = (row) => (picture(row) ? "+" : picture(row) === MISSING ? "-" : "?");
