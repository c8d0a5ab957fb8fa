// What the run says about its own labels, without truth; it is of the labels as they were found, before any edit.

import { el } from "./dom.js";

// summary: [[name, text]].
export function runSummary(summary) {
  const rows = summary.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]);
  return el("section", { class: "plot found" }, el("h3", { text: "As found" }), el("dl", { class: "facts" }, rows));
}
