// A photo, or a film, with the item's box and mask drawn on it, and the other items of the same file, each a way to that item.
// Boxes are elements placed by fractions, so that they stay sharp however large the photo is shown.

import { clusterColour } from "./colours.js";
import { button, el } from "./dom.js";
import { formatNumber, percent, plural } from "./format.js";
import { HeatLayer } from "./heat-layer.js";
import { drawMask } from "./mask-drawing.js";
import { kindsOfPieces } from "./pieces.js";
import { RegionMap } from "./region-map.js";
import { clusterTitle } from "./store.js";

const MAX_NAMED = 8, // with more boxes beside the item's, a name is shown under the pointer only
  MAX_OTHERS = 500,
  TOP_SHARE = 0.14, // of the height: no room for a name above a box that begins so high
  RIGHT_SHARE = 0.6,
  ROUNDING_PX = 1;
const settings = { isCrop: false, isDrawn: true }; // kept while the page is open

// Turns to the other of whole photo and crop, or shows and hides what is drawn, wherever a photo with boxes is shown.
export const switchCrop = () => document.querySelector(".photo")?.photo.setCrop(!settings.isCrop);
export const switchDrawn = () => document.querySelector(".photo")?.photo.setDrawn(!settings.isDrawn);

export class PhotoParts {
  // item: as /api/items/ gives it. content: the img or video element. parts: those of the same file, or null; onopen(row).
  constructor(item, content, parts, onopen) {
    Object.assign(this, { item, content, onopen });
    this.box = item.piece.box;
    this.size = item.piece.size;
    content.classList.remove("preview");
    this.heat = item.heat && new HeatLayer(item, content);
    this.stage = el("div", { class: "stage" }, content, this.heat?.picture, ...this.drawn(parts));
    this.frame = el("div", { class: "photo" }, this.stage);
    this.frame.photo = this;
    this.note = el("p", { class: "bad", hidden: true });
    const controls = [this.regions?.legend, this.makeSwitch(), this.heat?.node];
    this.node = el("div", { class: "photobox" }, this.frame, ...controls, this.note, this.omitted);
    for (const type of ["load", "loadedmetadata"]) content.addEventListener(type, () => this.checkSize());
    this.setDrawn(settings.isDrawn);
    this.setCrop(settings.isCrop);
  }

  // ---------------------------------------------------------------------------------------------------------- what is drawn

  drawn(parts) {
    const { mask, mask_problem: problem } = this.item.piece;
    const gone = problem && el("p", { class: "maskgone", text: problem });
    if (kindsOfPieces().regions && parts) {
      this.regions = new RegionMap(this.item, parts, this.onopen);
      return [this.regions.canvas, gone];
    }
    return [mask && this.maskCanvas(mask), ...this.others(parts), this.ownBox(), gone];
  }

  ownBox() {
    const { cluster, piece, confidence } = this.item;
    const share = piece.score === null ? percent(confidence) : `score ${percent(piece.score)}`;
    const text = `${clusterTitle(cluster)} ${share}`;
    const title = piece.score === null ? "cluster and confidence" : "cluster and score";
    const node = el("div", { class: "part own" }, el("span", { class: "tag", text, title }));
    return placed(node, this.box, cluster);
  }

  maskCanvas(mask) {
    const canvas = el("canvas", { class: "mask", "aria-hidden": "true" });
    drawMask(canvas, `/media/${this.item.row}/mask`, () => clusterColour(this.item.cluster));
    return placed(canvas, mask, null);
  }

  // The largest first, so that a smaller one lies on top and can be clicked.
  others(parts) {
    const others = (parts?.rows ?? []).map((row, i) => ({ row, label: parts.labels[i], box: parts.boxes[i], span: parts.spans[i] }));
    const shown = others.filter((part) => part.box && part.row !== this.item.row && this.isAtTheTimeOf(part));
    shown.sort((a, b) => areaOf(b.box) - areaOf(a.box));
    const isMany = shown.length > MAX_NAMED;
    if (shown.length > MAX_OTHERS) this.omitted = omittedNote(shown.length);
    return shown.slice(-MAX_OTHERS).map((part) => this.otherBox(part, isMany));
  }

  // Of a film, boxes at other times are not drawn.
  isAtTheTimeOf({ span }) {
    const own = this.item.piece.span;
    return !own || !span || (span[0] < own[1] && own[0] < span[1]);
  }

  otherBox({ row, label, box }, isMany) {
    const title = clusterTitle(label),
      onclick = () => this.onopen(row);
    const props = { type: "button", class: `part other${isMany ? " many" : ""}`, "data-row": String(row), "data-focus": "part", onclick };
    const tag = el("span", { class: "tag", text: title });
    return placed(el("button", { ...props, title: `${title}: go to item ${row}`, "aria-label": `${title}, item ${row}` }, tag), box, label);
  }

  // ---------------------------------------------------------------------------------------------------------- whole or crop

  makeSwitch() {
    const choice = (text, title, onclick) => button(text, title, onclick);
    this.whole = choice("Whole photo", "The whole photo, with the item's box (c)", () => this.setCrop(false));
    this.crop = choice("Crop", "What of it the method was shown (c)", () => this.setCrop(true));
    this.outlines = choice("Outlines", "Show or hide boxes and masks (b)", () => this.setDrawn(!settings.isDrawn));
    if (this.content.tagName === "VIDEO") this.whole.textContent = "Whole picture";
    const group = el("div", { class: "switch", role: "group", "aria-label": "What is shown" }, this.whole, this.crop);
    return el("div", { class: "photoswitch" }, group, this.outlines);
  }

  setCrop(isCrop) {
    settings.isCrop = isCrop;
    this.whole.setAttribute("aria-pressed", String(!isCrop));
    this.crop.setAttribute("aria-pressed", String(isCrop));
    this.frame.classList.toggle("cropped", isCrop);
    this.show(isCrop ? squareAround(this.box, this.size) : [0, 0, 1, 1]);
  }

  setDrawn(isDrawn) {
    settings.isDrawn = isDrawn;
    this.outlines.setAttribute("aria-pressed", String(isDrawn));
    this.frame.classList.toggle("bare", !isDrawn);
  }

  // Only this part of the photo, as fractions.
  show([x0, y0, x1, y1]) {
    const [width, height] = this.size;
    this.frame.style.setProperty("--aspect", String(((x1 - x0) * width) / ((y1 - y0) * height)));
    Object.assign(this.stage.style, {
      width: `${100 / (x1 - x0)}%`,
      height: `${100 / (y1 - y0)}%`,
      left: `${(-100 * x0) / (x1 - x0)}%`,
      top: `${(-100 * y0) / (y1 - y0)}%`,
    });
  }

  // A file that was replaced since may have another size; then the box may be beside what was labelled.
  checkSize() {
    const { content, size } = this;
    const [width, height] = [content.naturalWidth ?? content.videoWidth, content.naturalHeight ?? content.videoHeight];
    this.note.hidden = !width || (Math.abs(width - size[0]) <= ROUNDING_PX && Math.abs(height - size[1]) <= ROUNDING_PX);
    this.note.textContent = `The file has ${width} × ${height} pixels now; it had ${size[0]} × ${size[1]} when it was labelled, so the box may be wrong.`;
  }
}

const omittedNote = (n) =>
  el("p", { class: "muted", text: `Of ${plural(n, "other item")} of this file the ${formatNumber(MAX_OTHERS)} smallest are drawn.` });

const areaOf = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);

// Places a node by fractions of the photo; a name is put inside a box where there is no room above it.
function placed(node, [x0, y0, x1, y1], cluster) {
  const at = { left: x0, top: y0, width: x1 - x0, height: y1 - y0 };
  for (const [name, share] of Object.entries(at)) node.style[name] = `${100 * share}%`;
  if (cluster !== null) node.style.setProperty("--colour", clusterColour(cluster));
  node.classList.toggle("high", y0 < TOP_SHARE);
  node.classList.toggle("right", x0 > RIGHT_SHARE);
  return node;
}

// The square around a box that the method is shown, as fractions; as much of it as the photo has.
function squareAround([x0, y0, x1, y1], [width, height]) {
  const side = Math.max((x1 - x0) * width, (y1 - y0) * height);
  const fit = (low, high, length) => {
    const first = Math.min(Math.max(((low + high) * length - side) / 2, 0), Math.max(length - side, 0));
    return [first / length, Math.min(first + side, length) / length];
  };
  const [left, right] = fit(x0, x1, width),
    [top, bottom] = fit(y0, y1, height);
  return [left, top, right, bottom];
}
