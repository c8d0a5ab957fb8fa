// The class map of a photo: all regions of it, each in the colour of its cluster. The server sends which region every pixel is of,
// the labels come with the list of regions, so an edit needs no new picture.

import { clusterColour } from "./colours.js";
import { el } from "./dom.js";
import { clusterTitle } from "./store.js";

const OTHER_ALPHA = 95,
  OWN_ALPHA = 160;

export class RegionMap {
  // item: as /api/items/ gives it. parts: the regions of its photo. onopen(row): another region is asked for.
  constructor(item, parts, onopen) {
    Object.assign(this, { item, parts, onopen });
    this.picture = el("img");
    this.canvas = el("canvas", { class: "regions" });
    this.picture.addEventListener("load", () => this.paint());
    this.picture.src = `/media/${item.row}/regions`;
    this.canvas.addEventListener("click", (event) => this.openAt(event));
    this.canvas.addEventListener("mousemove", (event) => this.nameAt(event));
    this.legend = el("ul", { class: "legend" }, this.labels().map(legendEntry));
  }

  // Those that the photo has, each once, in the order of their numbers.
  labels() {
    return [...new Set(this.parts.labels)].sort((a, b) => a - b);
  }

  paint() {
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    Object.assign(this.canvas, { width, height });
    const g = this.canvas.getContext("2d");
    g.drawImage(this.picture, 0, 0);
    const pixels = g.getImageData(0, 0, width, height),
      { data } = pixels;
    const colours = new Map(this.labels().map((label) => [label, channelsOf(clusterColour(label))]));
    this.regions = new Int32Array(width * height); // place in the list of regions, -1 for none
    for (let i = 0; i < this.regions.length; i++) {
      const place = data[4 * i] + 256 * data[4 * i + 1] + 65536 * data[4 * i + 2] - 1;
      this.regions[i] = place;
      const isOwn = this.parts.rows[place] === this.item.row;
      const [red, green, blue] = colours.get(this.parts.labels[place]) ?? [0, 0, 0];
      data.set([red, green, blue, place < 0 ? 0 : isOwn ? OWN_ALPHA : OTHER_ALPHA], 4 * i);
    }
    g.putImageData(pixels, 0, 0);
  }

  // The place in the list of regions of the one under the pointer; undefined where there is none.
  at({ offsetX, offsetY }) {
    const { width, height, clientWidth, clientHeight } = this.canvas;
    const [x, y] = [Math.floor((offsetX / clientWidth) * width), Math.floor((offsetY / clientHeight) * height)];
    const place = this.regions?.[y * width + x] ?? -1;
    return place < 0 ? undefined : place;
  }

  openAt(event) {
    const place = this.at(event);
    if (place !== undefined) this.onopen(this.parts.rows[place]);
  }

  nameAt(event) {
    const place = this.at(event);
    this.canvas.title = place === undefined ? "" : clusterTitle(this.parts.labels[place]);
  }
}

function legendEntry(label) {
  const link = el("a", { href: label < 0 ? "#/rejected" : `#/cluster/${label}`, text: clusterTitle(label) });
  const entry = el("li", {}, link);
  entry.style.setProperty("--colour", clusterColour(label));
  return entry;
}

// Red, green and blue, 0 to 255, of a colour as CSS writes it.
function channelsOf(colour) {
  const g = el("canvas", { width: 1, height: 1 }).getContext("2d");
  g.fillStyle = colour;
  g.fillRect(0, 0, 1, 1);
  return [...g.getImageData(0, 0, 1, 1).data].slice(0, 3);
}
