// A message at the foot of the page that disappears by itself.

import { button, el } from "./dom.js";

const SHOWN_MS = 5000,
  ERROR_SHOWN_MS = 9000;

// action: [text of a button, what it does], or null.
export function showToast(text, action = null, isError = false) {
  const toast = el("div", { class: isError ? "toast bad" : "toast" }, el("span", { text }));
  const remove = () => toast.remove();
  if (action) {
    const [label, act] = action;
    toast.append(
      button(label, "", () => {
        remove();
        act();
      }),
    );
  }
  document.getElementById("toasts").replaceChildren(toast);
  setTimeout(remove, isError ? ERROR_SHOWN_MS : SHOWN_MS);
}
