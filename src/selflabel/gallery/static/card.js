// A cluster's card: a mosaic of its most typical items, its name, and three or four numbers.

import { clusterColour, themeColour } from "./colours.js";
import { el, scaledContext } from "./dom.js";
import { formatNumber, percent, plural } from "./format.js";
import { nameField } from "./name-field.js";
import { clusterTitle } from "./store.js";
import { MISSING, drawTile, picture } from "./thumbs.js";

const COLUMNS = 4,
  LINES = 3,
  GAP = 1;

export class Card {
  rows = []; // of the items in the mosaic
  isNear = false; // near the window, so that its pictures are needed

  // onpick(withShift), onkey(event) in the name field, onfocus.
  constructor(id, { onpick, onkey, onfocus }) {
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.link = el("a", { class: "cover", href: `#/cluster/${id}`, tabindex: "-1" }, this.canvas);
    this.checkbox = pickCheckbox(id, onpick);
    this.name = nameField(id);
    this.name.addEventListener("keydown", onkey);
    this.facts = el("dl", { class: "facts" });
    this.size = el("span", { class: "size" });
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = clusterColour(id);
    this.node = el(
      "article",
      { class: "card", role: "listitem", "data-id": String(id), onfocusin: onfocus },
      this.link,
      el("label", { class: "pick" }, this.checkbox),
      el("div", { class: "line" }, swatch, this.name, this.size),
      this.facts,
    );
    this.node.card = this;
    this.setTabStop(false);
  }

  // cluster: its record in the overview.
  update(cluster, isPicked) {
    this.setPicked(isPicked);
    this.name.update(); // a name that was typed and refused is shown no longer
    const content = JSON.stringify(cluster);
    if (content === this.content) return;
    this.content = content;
    this.rows = cluster.rows;
    const title = clusterTitle(cluster.id);
    this.node.setAttribute("aria-label", `${title}, ${plural(cluster.size, "item")}`);
    this.link.title = `Open ${title}`;
    this.link.setAttribute("aria-label", this.link.title);
    this.size.textContent = formatNumber(cluster.size);
    this.size.title = plural(cluster.size, "item");
    this.facts.replaceChildren(...factsOf(cluster).map(drawFact));
  }

  setPicked(isPicked) {
    this.checkbox.checked = isPicked;
    this.node.classList.toggle("picked", isPicked);
  }

  // Whether the card and what is in it can be reached with Tab.
  setTabStop(isStop) {
    for (const node of [this.node, this.name, this.checkbox]) node.setAttribute("tabindex", isStop ? "0" : "-1");
  }

  // Paints only if something has changed: an unchanged canvas costs the browser nothing.
  paint() {
    const width = this.canvas.clientWidth,
      side = (width - (COLUMNS - 1) * GAP) / COLUMNS,
      step = side + GAP;
    const content = [width, themeColour("tile"), ...this.rows.map((row) => `${row}${pictureState(row)}`)].join();
    if (width <= 0 || content === this.paintedContent) return;
    this.paintedContent = content;
    const g = scaledContext(this.canvas, width, side * LINES + (LINES - 1) * GAP);
    g.clearRect(0, 0, width, step * LINES);
    this.rows.forEach((row, i) => drawTile(g, row, (i % COLUMNS) * step, Math.floor(i / COLUMNS) * step, side));
  }
}

// A change event does not know of the Shift key; the click before it does.
function pickCheckbox(id, onpick) {
  let withShift = false;
  return el("input", {
    type: "checkbox",
    "aria-label": `Pick cluster ${id}`,
    onclick: (event) => {
      withShift = event.shiftKey;
    },
    onchange: () => onpick(withShift),
  });
}

function factsOf(cluster) {
  const facts = [
    ["agree", cluster.agreement, "of the neighbours of its items are in it too"],
    ["sure", cluster.confidence, "mean confidence"],
  ];
  if (cluster.purity !== undefined) facts.push(["pure", cluster.purity, `of its items are of class “${cluster.class}” in truth`]);
  return facts;
}

const drawFact = ([name, share, meaning]) =>
  el("div", { title: `${percent(share)} ${meaning}` }, el("dd", { text: percent(share) }), el("dt", { text: name }));

const pictureState = (row) => (picture(row) ? "+" : picture(row) === MISSING ? "-" : "?");
