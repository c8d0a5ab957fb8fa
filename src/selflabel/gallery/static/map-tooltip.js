// The small picture of the item under the pointer, with its cluster.

import { el, scaledContext } from "./dom.js";
import { clockSpan } from "./format.js";
import { loadPiece } from "./pieces.js";
import { clusterTitle } from "./store.js";
import { cancelRequests, drawTile, picture, requestPictures } from "./thumbs.js";

const SIDE = 96,
  OFFSET = 14, // from the pointer
  WIDTH = 130, // with its margin, so that it stays within the map
  HEIGHT = 140;

export class MapTooltip {
  constructor() {
    this.canvas = el("canvas", {});
    this.text = el("span");
    this.node = el("div", { class: "maptip", hidden: true }, this.canvas, this.text);
  }

  close() {
    cancelRequests(this);
  }

  hide() {
    this.node.hidden = true;
  }

  // x, y: of the pointer in the map's box.
  show(row, cluster, x, y) {
    const { clientWidth, clientHeight } = this.node.parentElement;
    const [left, top] = [Math.min(x + OFFSET, clientWidth - WIDTH), Math.min(y + OFFSET, clientHeight - HEIGHT)];
    this.node.hidden = false;
    this.text.textContent = clusterTitle(cluster);
    this.row = row;
    loadPiece(row).then((piece) => piece?.span && row === this.row && this.text.append(`, ${clockSpan(piece.span)}`));
    this.node.style.transform = `translate(${left}px, ${top}px)`;
    const paint = () => drawTile(scaledContext(this.canvas, SIDE, SIDE), row, 0, 0, SIDE);
    if (picture(row) === undefined) requestPictures(this, [row], paint);
    paint();
  }
}
