// The bar with what can be done with the selected items.

import { moveSelected, rejectSelected, restoreSelected } from "./actions.js";
import { button, el } from "./dom.js";
import { formatNumber } from "./format.js";
import { selection } from "./selection.js";

export const NARROW_PX = 900; // on a narrower window, an item's details are shown only when they are asked for

// canRestore, canReject: whether that is offered. ondetails: shows the details on a narrow window.
export function drawSelectionBar(bar, { canRestore = false, canReject = true, ondetails = null } = {}) {
  if (!selection.size) return bar.replaceChildren();
  bar.replaceChildren(
    el(
      "div",
      { class: "actions", role: "toolbar", "aria-label": "What to do with the selected items" },
      el("b", { text: `${formatNumber(selection.size)} selected` }),
      canRestore ? button("Restore", "r: into the cluster that they had, or are nearest to", restoreSelected, "main") : null,
      button("Move to …", "v", moveSelected, canRestore ? "" : "main"),
      canReject ? button("Reject", "x: they belong in no cluster", rejectSelected) : null,
      ondetails && innerWidth < NARROW_PX ? button("Details", "d", ondetails) : null,
      button("Clear", "Esc", () => selection.clear()),
    ),
  );
}
