// A cluster's card: a mosaic of its most typical items, its name, and three or four numbers.

import { clusterColour } from "./colours.js";
import { el } from "./dom.js";
import { formatNumber, percent, plural } from "./format.js";
import { Mosaic } from "./mosaic.js";
import { nameField } from "./name-field.js";
import { clusterTitle } from "./store.js";

export class Card {
  rows = []; // of the items in the mosaic
  isNear = false; // near the window, so that its pictures are needed

  // onpick(withShift), onkey(event) in the name field, onfocus.
  constructor(id, { onpick, onkey, onfocus }) {
    this.mosaic = new Mosaic();
    this.link = el("a", { class: "cover", href: `#/cluster/${id}`, tabindex: "-1" }, this.mosaic.canvas);
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

  paint() {
    this.mosaic.paint(this.rows);
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
