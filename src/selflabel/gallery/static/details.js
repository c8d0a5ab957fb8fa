// One item in full: seen, heard, and what the run thought of it.

import { getJson } from "./api.js";
import { button, el, hue, percent, sized } from "./dom.js";
import { store, title } from "./store.js";
import { drawTile, forget, wish } from "./thumbs.js";

export class Details {
  constructor(host) {
    this.node = el("aside", { class: "details", "aria-label": "Details of the item" });
    host.append(this.node);
  }

  close() {
    forget(this);
    clearTimeout(this.waiting);
    this.node.remove();
  }

  // Waits a moment: held arrows pass over many items.
  show(row) {
    clearTimeout(this.waiting);
    this.row = row;
    this.waiting = setTimeout(() => this.load(row), 80);
  }

  async load(row) {
    if (row === undefined) return this.node.replaceChildren(el("p", { class: "muted", text: "No item." }));
    let item;
    try {
      item = await getJson(`/api/items/${row}`);
    } catch (error) {
      return this.node.replaceChildren(el("p", { class: "bad", text: error.message }));
    }
    if (row === this.row) this.draw(item);
  }

  draw(item) {
    const near = item.neighbours.map((row) => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      return [
        row,
        canvas,
        el(
          "button",
          {
            type: "button",
            class: "near",
            title: `Item ${row}`,
            "aria-label": `Neighbour, item ${row}`,
            onclick: () => this.show(row),
          },
          canvas,
        ),
      ];
    });
    const facts = [
      ["Confidence", percent(item.confidence, 1)],
      ["Neighbours alike", percent(item.agreement)],
    ];
    if (item.class) facts.push(["Truth", item.class]);
    if (item.settled) facts.push(["Decided", "by hand"]);
    this.node.replaceChildren(
      ...this.preview(item),
      el("h2", { class: "path", text: item.path }),
      el(
        "p",
        {},
        "in ",
        el("a", { href: item.cluster < 0 ? "#/rejected" : `#/cluster/${item.cluster}`, text: title(item.cluster) }),
      ),
      el(
        "dl",
        { class: "facts" },
        facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }))),
      ),
      el("h3", { text: "What the run took it for" }),
      el("ul", { class: "tops" }, item.top.slice(0, 5).map(bar)),
      el("h3", { text: "Most like it" }),
      el(
        "div",
        { class: "nears" },
        near.map(([, , node]) => node),
      ),
    );
    const paint = () => near.forEach(([row, canvas]) => drawTile(sized(canvas, 52, 52), row, 0, 0, 52));
    wish(
      this,
      near.map(([row]) => row),
      paint,
    );
    paint();
  }

  preview({ row, media, missing, path }) {
    if (missing) return [el("div", { class: "preview gone" }, el("b", { text: "missing" }), el("span", { text: missing }))];
    const kinds = media.split(" "),
      src = (kind) => `/media/${row}/${kind}`;
    const drawn = (words) => this.drawn(row, words);
    const fails = (event) =>
      event.target.replaceWith(...drawn("This browser cannot show the whole file; this is its small picture."));
    if (kinds.includes("video"))
      return [
        el("video", {
          onerror: fails,
          class: "preview",
          src: src("video"),
          controls: true,
          loop: true,
          playsinline: true,
          preload: "metadata",
          "aria-label": path,
        }),
      ];
    const shown = [];
    if (kinds.includes("image") || kinds.includes("array"))
      shown.push(
        el("img", { onerror: fails, class: "preview", src: src(kinds.includes("image") ? "image" : "array"), alt: path }),
      );
    if (kinds.includes("audio")) {
      if (!shown.length) shown.push(...drawn(""));
      shown.push(el("audio", { src: src("audio"), controls: true, preload: "none" }));
    }
    return shown;
  }

  // The small picture in place of the whole.
  drawn(row, words) {
    const canvas = el("canvas", { class: "preview", role: "img", "aria-label": "Small picture" }),
      owner = {};
    const paint = () => drawTile(sized(canvas, 248, 248), row, 0, 0, 248);
    wish(owner, [row], () => {
      paint();
      forget(owner);
    });
    paint();
    return [canvas, ...(words ? [el("p", { class: "muted", text: words })] : [])];
  }
}

function bar({ cluster, share }) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.max(1, 100 * share)}%`;
  fill.style.background = hue(cluster);
  const known = store.byId.has(cluster);
  return el(
    "li",
    { title: known ? title(cluster) : "It has no items any more" },
    el("span", { class: known ? "what" : "what gone", text: title(cluster) }),
    el("span", { class: "track" }, fill),
    el("span", { class: "muted", text: percent(share) }),
  );
}
