// Modal dialogs. Each resolves to the user's answer, or to null where it is cancelled.

import { button, el } from "./dom.js";
import { keyHelp } from "./keys.js";
import { clusterTitle } from "./store.js";

// build(done): makes the content; done(value) closes the dialog. The element with data-first gets the focus.
export function ask(heading, build) {
  return new Promise((resolve) => {
    const focusedBefore = document.activeElement;
    const dialog = el("dialog", { "aria-label": heading });
    const done = (value) => {
      dialog.close();
      dialog.remove();
      focusedBefore?.focus?.({ preventScroll: true });
      resolve(value);
    };
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      done(null);
    });
    dialog.addEventListener("pointerdown", (event) => {
      if (event.target === dialog) done(null); // on the backdrop
    });
    const close = button("✕", "Close (Esc)", () => done(null), "plain");
    const header = el("header", {}, el("h2", { text: heading }), close);
    dialog.append(el("form", { method: "dialog", onsubmit: (event) => event.preventDefault() }, header, build(done)));
    document.body.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector("[data-first]");
    first?.focus();
    first?.select?.();
  });
}

export const showHelp = () => ask("Keys", () => keyHelp());

// Into how many clusters to split?
export function askParts(cluster) {
  return ask(`Split ${clusterTitle(cluster)}`, (done) => {
    const input = el("input", { type: "number", min: "2", max: "100", value: "2", "data-first": true, id: "parts" });
    const submit = () => {
      const n = Number(input.value);
      if (Number.isInteger(n) && n >= 2 && n <= 100) done(n);
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        submit();
      }
    });
    return el(
      "div",
      { class: "body" },
      el("p", {
        text: "Its items are grouped anew by what they look like to the model. The largest part keeps the number and the name; undo brings it back.",
      }),
      el("label", { for: "parts", text: "Into how many?" }),
      input,
      el("footer", {}, button("Split", "", submit, "main")),
    );
  });
}
