// Hides the items of a cluster whose score or confidence is below a minimum, and rejects those that are hidden.

import { button, el } from "./dom.js";
import { formatNumber, plural } from "./format.js";

const STEP = 0.01;
const KINDS = { score: ["Score", "of the object that was found"], confidence: ["Sure", "confidence of the label"] };
const settings = { minimum: 0, by: null }; // kept while the page is open

export class ScoreFilter {
  // hasScores: the run's items have scores besides their confidence. onchange: another minimum. onload: another kind of score is
  // needed. onreject(rows): they are to be rejected.
  constructor({ hasScores, onchange, onload, onreject }) {
    Object.assign(this, { onchange, onload, onreject });
    this.rows = this.scores = [];
    settings.by ??= hasScores ? "score" : "confidence";
    this.slider = this.makeSlider();
    this.text = el("output", { class: "least" });
    this.rejecter = button("", "Reject the items that are hidden; undo brings them back", () => this.onreject(this.below()));
    this.node = el("div", { class: "scorefilter" }, hasScores ? this.makeKind() : this.makeTitle(), this.slider, this.text, this.rejecter);
    this.draw(0);
  }

  get by() {
    return settings.by;
  }

  makeSlider() {
    return el("input", {
      type: "range",
      min: "0",
      max: "1",
      step: String(STEP),
      value: String(settings.minimum),
      title: "Show items from this minimum on (f)",
      "aria-label": "Least score that is shown",
      oninput: () => this.setMinimum(Number(this.slider.value)),
    });
  }

  makeTitle() {
    const [text, title] = KINDS[settings.by];
    return el("span", { text, title });
  }

  makeKind() {
    const options = Object.entries(KINDS).map(([value, [text, title]]) => el("option", { value, text, title }));
    const select = el("select", { "aria-label": "What the minimum is of" }, options);
    select.value = settings.by;
    select.addEventListener("change", () => {
      settings.by = select.value;
      this.onload();
    });
    return select;
  }

  setMinimum(minimum) {
    settings.minimum = minimum;
    this.onchange();
  }

  // rows and their scores, NaN for none, as listed. Returns the rows that are shown: an item without a score always is.
  filter(rows, scores) {
    Object.assign(this, { rows, scores });
    const shown = settings.minimum > 0 ? rows.filter((_, i) => !(scores[i] < settings.minimum)) : rows;
    this.draw(rows.length - shown.length);
    return shown;
  }

  below() {
    return [...this.rows].filter((_, i) => this.scores[i] < settings.minimum).sort((a, b) => a - b);
  }

  draw(hiddenCount) {
    this.text.textContent = `≥ ${settings.minimum.toFixed(2)}`;
    this.slider.setAttribute("aria-valuetext", `at least ${settings.minimum.toFixed(2)}`);
    this.rejecter.hidden = !hiddenCount;
    this.rejecter.textContent = `Reject the ${formatNumber(hiddenCount)} below`;
  }

  focus() {
    this.slider.focus();
  }
}

// "800 items", or "214 of 800 shown".
export const countText = (shown, all) => (shown === all ? plural(all, "item") : `${formatNumber(shown)} of ${formatNumber(all)} shown`);
