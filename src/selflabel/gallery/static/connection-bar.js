// The bar that says that the page is not connected, what is not saved because of it, and what to do.

import { AWAY, CONNECTED, OTHER_RUN, RESTARTED, connection } from "./connection.js";
import { button, el } from "./dom.js";
import { editWords } from "./edit-words.js";
import { plural } from "./format.js";
import { store } from "./store.js";

const MAX_LISTED = 20,
  SLOW_MS = 1500; // an edit that takes longer than this to be saved is mentioned
let slowTimer = null;

// unsent: the edits that are not saved.
export function drawConnectionBar(unsent) {
  const bar = document.getElementById("connection");
  if (unsent.refusal) bar.replaceChildren(...refusalParts(unsent));
  else if (connection.state !== CONNECTED) bar.replaceChildren(...lostParts(unsent));
  else drawSaving(bar, unsent);
}

// While all is well, only an edit that takes long is mentioned, and those that had to wait.
function drawSaving(bar, unsent, isSlow = unsent.late.size > 0) {
  clearTimeout(slowTimer);
  const isMentioned = isSlow && unsent.edits.length;
  bar.replaceChildren(...(isMentioned ? [el("p", { text: `Saving … ${count(unsent)} not saved yet.` })] : []));
  if (unsent.edits.length && !isSlow) slowTimer = setTimeout(() => drawSaving(bar, unsent, true), SLOW_MS);
}

const count = ({ edits }) => `${plural(edits.length, "change")} ${edits.length === 1 ? "is" : "are"}`;

function lostParts(unsent) {
  const parts = [el("p", {}, el("b", { text: heading() }), " ", whatToDo())];
  if (!unsent.edits.length) return [...parts, el("p", { text: "Nothing is unsaved." })];
  return [...parts, el("p", { text: fate(unsent) }), listed(unsent)];
}

function heading() {
  return { [AWAY]: "Not connected.", [RESTARTED]: "selflabel browse was started again.", [OTHER_RUN]: "Another run." }[connection.state];
}

function whatToDo() {
  if (connection.state === RESTARTED) return "Open the address that it printed; this tab then works again too.";
  if (connection.state === OTHER_RUN)
    return `This server now shows another run than this tab. Reload to see it, or start selflabel browse with ${store.about?.folder}.`;
  return ["The page has lost its server. Start it again: ", el("code", { text: command() })];
}

function command() {
  const folder = store.about?.folder ?? "RUN";
  return `selflabel browse '${folder.replaceAll("'", "'\\''")}' --port ${location.port}`;
}

function fate(unsent) {
  const kept = unsent.isKept ? "kept in this browser" : "too large to be kept if you close or reload this tab";
  const them = unsent.edits.length === 1 ? "it is sent" : "they are sent, in order,";
  return `${count(unsent)} not saved: ${kept}; ${them} when the server is back.`;
}

function refusalParts(unsent) {
  const { edit, reason } = unsent.refusal;
  const others = unsent.edits.length - 1;
  const discard = button("Discard it", "", () => unsent.discardRefused());
  const retry = button("Try again", "", () => unsent.retry(), "main");
  const all = button(`Discard all ${unsent.edits.length}`, "", () => unsent.discardAll());
  return [
    el("p", {}, el("b", { text: "A change from before cannot be saved: " }), `${editWords(edit)}. ${sentence(reason)}`),
    others ? el("p", { text: `${plural(others, "change")} after it ${others === 1 ? "waits" : "wait"} and ${others === 1 ? "is" : "are"} not saved.` }) : null,
    el("div", { class: "choices" }, retry, discard, others ? all : null),
  ].filter(Boolean);
}

const sentence = (reason) => `${reason[0].toUpperCase()}${reason.slice(1)}`;

// What waits, with a way to drop it.
function listed(unsent) {
  const lines = unsent.edits.slice(0, MAX_LISTED).map((edit) => el("li", { text: editWords(edit) }));
  const more = unsent.edits.length - lines.length;
  if (more > 0) lines.push(el("li", { text: `and ${plural(more, "other")}` }));
  const discard = button("Discard them", "They will not be sent", () => unsent.discardAll());
  const open = Boolean(document.querySelector("#connection details")?.open);
  return el("details", { open }, el("summary", { text: "Which?" }), el("ul", {}, lines), discard);
}
