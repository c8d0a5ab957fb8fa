// What a person can do to the labels: name, merge, split, move, reject, restore, undo, redo, export.
// Every edit goes to the server's log first; the page then shows the labels that come back. Where the server is away, it waits.

import { getJson, postJson } from "./api.js";
import { chooseCluster } from "./cluster-chooser.js";
import { drawConnectionBar } from "./connection-bar.js";
import { onConnection } from "./connection.js";
import { askParts } from "./dialogs.js";
import { showExportDialog } from "./export-dialog.js";
import { plural } from "./format.js";
import { selection } from "./selection.js";
import { clusterTitle, refresh, setOverview, store } from "./store.js";
import { showToast } from "./toast.js";
import { UnsentEdits } from "./unsent.js";

// ---------------------------------------------------------------------------------------------------------------- edits

const unsent = new UnsentEdits({
  post: postEdit,
  onchange: () => drawConnectionBar(unsent),
  onlate: (n) => showToast(`Saved now: ${plural(n, "change")} that had to wait for the server.`),
});
onConnection(() => drawConnectionBar(unsent));

// Resolves to true where the server accepted the edit, false where it refused it, and null where it waits for the server.
const sendEdit = (values) => unsent.add(values);

export const openUnsent = () => unsent.open();
export const sendUnsent = () => unsent.send();
export const hasUnsent = () => unsent.edits.length > 0;

// See UnsentEdits.
async function postEdit(edit, isLate) {
  try {
    const result = await postJson("/api/edits", edit);
    setOverview(result);
    if (!isLate) announce(edit, result);
    return null;
  } catch (error) {
    if (!error.isRefusal) return undefined;
    if (!isLate) showToast(error.message, null, true);
    // The usual reason for a refusal is an edit from another tab: show it.
    await refresh().catch(() => {});
    return { reason: error.message };
  }
}

function announce(values, { clusters, edit }) {
  const hasName = (c) => c.name === values.name && c.size;
  const namesakes = values.do === "name" && values.name ? clusters.filter(hasName).map((c) => c.id) : [];
  if (namesakes.length > 1) {
    const merge = ["Merge them", () => mergeClusters(namesakes, namesakes[0])];
    return showToast(`${namesakes.length} clusters are called “${values.name}”.`, merge);
  }
  const prefix = { undo: "Undone: ", redo: "Redone: " }[values.do];
  if (edit) showToast((prefix || "Done: ") + edit, prefix ? null : ["Undo", undo]);
}

export const undo = () => sendEdit({ do: "undo" });
export const redo = () => sendEdit({ do: "redo" });

// ------------------------------------------------------------------------------------------------------------- clusters

export const nameCluster = (cluster, name) => sendEdit({ do: "name", cluster, name });

export const mergeClusters = (clusters, into) => sendEdit({ do: "merge", clusters, into });

// The cluster that others are merged into: the one with a name; the largest where none has; the user chooses where several have.
// Resolves to undefined where the user cancels.
export async function chooseMergeTarget(ids) {
  const cluster = (id) => store.clustersById.get(id);
  const namedIds = ids.filter((id) => cluster(id)?.name);
  if (namedIds.length > 1) return (await chooseCluster("Which name should it keep?", { only: namedIds }))?.id;
  return namedIds[0] ?? ids.reduce((a, b) => (cluster(b).size > cluster(a).size ? b : a));
}

// Asks into which cluster to merge this one; resolves to that cluster's id, or to null.
export async function mergeIntoOther(id) {
  const other = await chooseCluster(`Merge ${clusterTitle(id)} into`, { without: [id] });
  return other && (await mergeClusters([other.id, id], other.id)) ? other.id : null;
}

const sendSplit = (cluster, parts) => sendEdit({ do: "split", cluster, parts });

export const splitInTwo = (cluster) => sendSplit(cluster, 2);

// Asks into how many clusters to split this one; resolves to whether that was done.
export async function splitCluster(cluster) {
  const parts = await askParts(cluster);
  return parts ? sendSplit(cluster, parts) : false;
}

// ------------------------------------------------------------------------------------------------------- selected items

// Clears the selection at once, so that the next key does not act on the same items again; a refusal restores it.
async function sendSelected(values) {
  const items = [...selection.rows].sort((a, b) => a - b);
  selection.clear();
  if ((await sendEdit({ ...values, items })) === false) selection.set(items);
}

export async function moveSelected() {
  // Without a response, the clusters are offered in their usual order.
  const likely = postJson("/api/likely", { items: [...selection.rows] }).catch(() => ({ clusters: [], within: null }));
  const to = await chooseCluster(`Move ${selection.description} to`, { allowNew: true, likely });
  if (to) await sendSelected({ do: "move", ...(to.isNew ? newCluster(to.name) : { to: to.id }) });
}

// The server gives it its number.
const newCluster = (name) => ({ to: null, ...(name ? { name } : {}) });

export const rejectSelected = () => sendSelected({ do: "reject" });
// Of the items of a list, without selecting them.
export const rejectItems = (items) => sendEdit({ do: "reject", items });
export const restoreSelected = () => sendSelected({ do: "restore" });

// --------------------------------------------------------------------------------------------------------------- export

export async function exportLabels() {
  const offered = await getJson("/api/exports").catch((error) => showToast(error.message, null, true));
  if (!offered) return;
  const write = (format) => postJson("/api/exports", { format });
  const readProgress = async () => {
    const { progress } = await getJson("/api/exports").catch(() => ({ progress: [0, 0] }));
    return progress;
  };
  await showExportDialog(offered.formats, { write, readProgress });
}
