// What a person can do to the labels: name, merge, split, move, reject, restore, undo, redo, export.
// Every edit goes to the server's log first; the page then shows the labels that come back.

import { getJson, postJson } from "./api.js";
import { chooseCluster } from "./cluster-chooser.js";
import { askParts } from "./dialogs.js";
import { showExportDialog } from "./export-dialog.js";
import { selection } from "./selection.js";
import { clusterTitle, refresh, setOverview, store } from "./store.js";
import { showToast } from "./toast.js";

// ---------------------------------------------------------------------------------------------------------------- edits

// Edits are sent one after the other, so that their order is that of the user's actions.
let lastEdit = Promise.resolve();

// Resolves to whether the server accepted the edit.
function sendEdit(values) {
  lastEdit = lastEdit.then(() => postEdit(values));
  return lastEdit;
}

async function postEdit(values) {
  try {
    const result = await postJson("/api/edits", values);
    setOverview(result);
    announce(values, result);
    return true;
  } catch (error) {
    showToast(error.message, null, true);
    // The usual reason for a refusal is an edit from another tab: show it.
    await refresh().catch(() => {});
    return false;
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
  showToast((prefix || "Done: ") + edit, prefix ? null : ["Undo", undo]);
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
  if (await sendEdit({ ...values, items })) return true;
  selection.set(items);
  return false;
}

export async function moveSelected() {
  // Without a response, the clusters are offered in their usual order.
  const likely = postJson("/api/likely", { items: [...selection.rows] }).catch(() => ({ clusters: [], within: null }));
  const to = await chooseCluster(`Move ${selection.description} to`, { allowNew: true, likely });
  if (to && (await sendSelected({ do: "move", to: to.id })) && to.isNew && to.name) await nameCluster(to.id, to.name);
}

export const rejectSelected = () => sendSelected({ do: "reject" });
export const restoreSelected = () => sendSelected({ do: "restore" });

// --------------------------------------------------------------------------------------------------------------- export

export async function exportLabels() {
  const { formats } = await getJson("/api/exports");
  const write = (format) => postJson("/api/exports", { format });
  const readProgress = async () => {
    const { progress } = await getJson("/api/exports").catch(() => ({ progress: [0, 0] }));
    return progress;
  };
  return showExportDialog(formats, { write, readProgress });
}
