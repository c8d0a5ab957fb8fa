// The heatmap of an item over its photo or film, and the slider that says how strongly it is shown.

import { el } from "./dom.js";
import { percent } from "./format.js";

const STEP = 0.05;
const settings = { strength: 0.6, channel: null }; // kept while the page is open

export class HeatLayer {
  // item: as /api/items/ gives it, with a heatmap. content: the img or video element below it.
  constructor({ row, heat, cluster }, content) {
    Object.assign(this, { row, heat, content, frame: 0 });
    const known = heat.channels.indexOf(settings.channel);
    this.channel = known >= 0 ? known : Math.min(Math.max(cluster, 0), heat.channels.length - 1);
    this.picture = el("img", { class: "heat", alt: "", "aria-hidden": "true" });
    this.note = el("output", { class: "muted" });
    this.node = el("div", { class: "heatcontrol" }, el("label", {}, "Heatmap ", this.makeSlider()), this.makeChannels(), this.note);
    if (heat.frames > 1) for (const type of ["timeupdate", "seeked"]) content.addEventListener(type, () => this.follow());
    this.place();
    this.load();
    this.setStrength(settings.strength);
  }

  makeSlider() {
    const oninput = (event) => this.setStrength(Number(event.target.value));
    const range = { type: "range", min: "0", max: "1", step: String(STEP), value: String(settings.strength), oninput };
    return el("input", { ...range, title: "How strongly the heatmap is shown", "aria-label": "Strength of the heatmap" });
  }

  makeChannels() {
    const { channels } = this.heat;
    if (channels.length < 2) return null;
    const options = channels.map((text, i) => el("option", { value: String(i), text }));
    const select = el("select", { "aria-label": "Class of the heatmap" }, options);
    select.value = String(this.channel);
    select.addEventListener("change", () => {
      this.channel = Number(select.value);
      settings.channel = channels[this.channel];
      this.load();
    });
    return select;
  }

  setStrength(strength) {
    settings.strength = strength;
    this.picture.style.opacity = String(strength);
  }

  place() {
    const [x0, y0, x1, y1] = this.heat.place;
    const at = { left: x0, top: y0, width: x1 - x0, height: y1 - y0 };
    for (const [name, share] of Object.entries(at)) this.picture.style[name] = `${100 * share}%`;
  }

  load() {
    this.picture.src = `/media/${this.row}/heatmap?channel=${this.channel}&frame=${this.frame}`;
    this.note.textContent = `highest ${percent(this.heat.highest[this.channel])}`;
    this.note.title = "The map's highest value; its colours go from its own lowest to its own highest.";
  }

  // The frame of the moment that plays.
  follow() {
    const { frames } = this.heat,
      share = this.content.currentTime / this.content.duration || 0;
    const frame = Math.min(frames - 1, Math.floor(share * frames));
    if (frame === this.frame) return;
    this.frame = frame;
    this.load();
  }
}
