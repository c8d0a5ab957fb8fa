// The text field in which a cluster's name is shown and edited.

import { nameCluster } from "./actions.js";
import { el } from "./dom.js";
import { store } from "./store.js";

// The name is sent when the field loses the focus, but only if the user changed it: another tab may have renamed the cluster
// while the field had the focus. The element has two methods: update() shows the current name, cancel() drops what was typed.
export function nameField(id, className = "name") {
  const currentName = () => store.clustersById.get(id)?.name ?? "";
  const field = el("input", {
    class: className,
    type: "text",
    maxlength: "200",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": `Name of cluster ${id}`,
  });
  let valueBefore = "",
    isSending = false; // what was typed stays until the server has answered
  field.update = () => {
    if (document.activeElement !== field && !isSending) field.value = currentName();
    field.placeholder = currentName() ? "" : `Name cluster ${id}`;
  };
  field.cancel = () => {
    field.value = valueBefore;
  };
  const send = async (name) => {
    isSending = true;
    const outcome = await nameCluster(id, name);
    isSending = false;
    if (outcome !== null) field.update();
  };
  field.addEventListener("focus", () => {
    valueBefore = field.value;
  });
  field.addEventListener("blur", () => {
    const name = field.value.trim();
    if (name === valueBefore.trim() || !store.clustersById.has(id)) field.update();
    else send(name);
  });
  field.update();
  return field;
}
