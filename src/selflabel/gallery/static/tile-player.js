// Plays one item in its tile of the grid: a video without sound until its button is pressed, a sound once it is pressed.

import { el } from "./dom.js";
import { kindsOfPieces, loadPiece } from "./pieces.js";
import { SpanKeeper } from "./span-keeper.js";

const RIM = 4; // of the tile, left bare so that the mark of a selected item shows

export class TilePlayer {
  index = null; // in the grid; null while nothing plays

  // host: the element that scrolls. modality: "image", "video" or "audio"; images do not play.
  constructor(host, modality) {
    Object.assign(this, { host, modality });
  }

  get canPlay() {
    return this.modality !== "image";
  }

  // place: { x, y, side } of the tile in the window of the host.
  play(index, row, place, withSound = false) {
    this.stop();
    this.index = index;
    this.media = this.makeMedia(withSound);
    this.soundButton = el("button", { type: "button", class: "sound", text: "♪", onclick: () => this.toggleSound() });
    this.frame = el("div", { class: "film" }, this.media, this.soundButton);
    const side = `${place.side - 2 * RIM}px`;
    const [left, top] = [place.x + RIM, place.y + RIM + this.host.scrollTop];
    Object.assign(this.frame.style, { left: `${left}px`, top: `${top}px`, width: side, height: side });
    this.host.append(this.frame);
    this.begin(row, withSound);
    this.updateButton();
  }

  // Of an item that is a span of its file, only that is played.
  async begin(row, withSound) {
    const { media, modality } = this;
    const { span } = (kindsOfPieces() && (await loadPiece(row))) || {};
    if (!media.isConnected) return; // stopped in the meantime
    if (span) {
      media.loop = false;
      new SpanKeeper(media, span, { loops: modality === "video" });
    }
    media.src = `/media/${row}/${modality}`;
    if (modality === "video" || withSound) this.start();
  }

  makeMedia(withSound) {
    const isVideo = this.modality === "video";
    const media = el(isVideo ? "video" : "audio", {
      loop: isVideo,
      muted: !withSound,
      preload: "auto",
      playsinline: true,
    });
    for (const type of ["play", "pause", "volumechange", "ended"]) media.addEventListener(type, () => this.updateButton());
    media.addEventListener("error", () => {
      if (media === this.media)
        this.frame.replaceChildren(el("span", { class: "cannot", text: "cannot be played by this browser" }));
    });
    return media;
  }

  // A browser may refuse to play; the button then shows that there is no sound.
  start() {
    this.media.play().catch(() => {});
  }

  toggleSound() {
    const { media } = this;
    if (this.modality === "video") media.muted = !media.muted;
    else {
      media.muted = false;
      media.paused ? this.start() : media.pause();
    }
    this.updateButton();
  }

  updateButton() {
    const isSilent = this.media.muted || this.media.paused;
    this.soundButton.title = isSilent ? "Play with sound (p)" : "Silence (p)";
    this.soundButton.setAttribute("aria-label", "Sound");
    this.soundButton.setAttribute("aria-pressed", String(!isSilent));
  }

  stop() {
    this.media?.pause();
    this.frame?.remove();
    this.index = null;
  }
}
