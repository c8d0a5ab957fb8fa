// Where a cluster's name is read and typed.

import { el } from "./dom.js";
import { edit, store } from "./store.js";

// What was typed is kept when the field is left; one that was only looked at changes nothing, whatever another tab called it since.
export function nameField(id, style = "name") {
  const now = () => store.byId.get(id)?.name ?? "";
  const field = el("input", {
    class: style,
    type: "text",
    maxlength: "200",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": `Name of cluster ${id}`,
  });
  let before = "";
  const show = () => {
    if (document.activeElement !== field) field.value = now();
    field.placeholder = now() ? "" : `Name cluster ${id}`;
  };
  field.addEventListener("focus", () => {
    before = field.value;
  });
  field.addEventListener("blur", () => {
    const typed = field.value.trim();
    if (typed === before.trim() || !store.byId.has(id)) show();
    else edit({ do: "name", cluster: id, name: typed });
  });
  field.show = show;
  field.callOff = () => {
    field.value = before;
  };
  show();
  return field;
}
