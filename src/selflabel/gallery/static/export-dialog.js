// The dialog that writes an export.

import { ask } from "./dialogs.js";
import { button, el } from "./dom.js";
import { formatNumber, plural } from "./format.js";
import { store } from "./store.js";

const PROGRESS_MS = 700;

// formats: [{ name, what }]. write(format): resolves to what was written. readProgress(): resolves to [items written, in total].
export const showExportDialog = (formats, { write, readProgress }) =>
  ask("Export", () => new ExportDialog(formats, write, readProgress).node);

class ExportDialog {
  constructor(formats, write, readProgress) {
    Object.assign(this, { write, readProgress });
    this.status = el("p", { role: "status", class: "said" });
    this.list = el("div", { class: "formats", role: "radiogroup", "aria-label": "Format" }, formats.map(formatOption));
    this.button = button("Export", "", () => this.run(), "main");
    this.node = el(
      "div",
      { class: "body" },
      el("p", { text: contents(store.overview.progress, store.overview.outliers.size) }),
      this.list,
      this.status,
      el("footer", {}, this.button),
    );
  }

  async run() {
    const format = this.list.querySelector("input:checked").value;
    this.button.disabled = true;
    const timer = setInterval(() => this.showProgress(), PROGRESS_MS);
    this.setStatus("said", "Writing …");
    try {
      this.setStatus("said", ...report(await this.write(format)));
    } catch (error) {
      this.setStatus("said bad", error.message);
    }
    clearInterval(timer);
    this.button.disabled = false;
  }

  async showProgress() {
    const [done, total] = await this.readProgress();
    // A late response must not replace the result.
    if (this.button.disabled && total) this.setStatus("said", `Writing … ${formatNumber(done)} of ${formatNumber(total)}`);
  }

  setStatus(className, ...content) {
    this.status.className = className;
    this.status.replaceChildren(...content);
  }
}

function formatOption({ name, what }, i) {
  const isFirst = i === 0;
  return el(
    "label",
    {},
    el("input", { type: "radio", name: "format", value: name, checked: isFirst, "data-first": isFirst || undefined }),
    el("span", {}, el("b", { text: name }), " ", el("span", { class: "muted", text: what })),
  );
}

// What will be in the export.
function contents({ named, clusters, rejected }, outliers) {
  const ofNone = [rejected && plural(rejected, "rejected item"), outliers && `${plural(outliers, "item")} that fit no cluster`];
  const leftOut = rejected || outliers ? `; ${ofNone.filter(Boolean).join(" and ")} left out` : "";
  const unnamed = clusters - named;
  return `Names and edits are in it${leftOut}.${unnamed ? ` ${plural(unnamed, "cluster")} without a name will go by number.` : ""}`;
}

function report({ n_items, n_left_out, place }) {
  const leftOut = n_left_out ? ` ${plural(n_left_out, "item")} could not be read and are left out.` : "";
  return [`${plural(n_items, "item")} written to `, el("code", { text: place }), leftOut];
}
