// The bar with what can be done with the selected items.

import { moveSelected, rejectSelected, restoreSelected } from "./actions.js";
import { button, el } from "./dom.js";
import { formatNumber } from "./format.js";
import { selection } from "./selection.js";

export const NARROW_PX = 900; // on a narrower window, an item's details are shown only when they are asked for

// isRejected: whether the selected items are rejected ones. ondetails: shows the details on a narrow window.
export function drawSelectionBar(bar, { isRejected = false, ondetails = null } = {}) {
  if (!selection.size) return bar.replaceChildren();
  const move = (className) => button("Move to …", "v", moveSelected, className);
  bar.replaceChildren(
    el(
      "div",
      { class: "actions", role: "toolbar", "aria-label": "What to do with the selected items" },
      el("b", { text: `${formatNumber(selection.size)} selected` }),
      isRejected
        ? [button("Restore", "r", restoreSelected, "main"), move()]
        : [move("main"), button("Reject", "x: they belong in no cluster", rejectSelected)],
      ondetails && innerWidth < NARROW_PX ? button("Details", "d", ondetails) : null,
      button("Clear", "Esc", () => selection.clear()),
    ),
  );
}
