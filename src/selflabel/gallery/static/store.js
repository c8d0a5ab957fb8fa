// The labels as the server has them, shared by all views.

import { getJson } from "./api.js";

export const store = { about: null, overview: null, clustersById: new Map(), nameCounts: new Map() };
export const OUTLIERS = "Fits no cluster"; // what the items are called that the run found to be outliers
const OUTLIER = -2; // their label, where the server says the label of each item; that of rejected ones is -1
const listeners = new Set();

// Calls listener(overview) after every change; returns a function that ends this.
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function setOverview(overview) {
  store.overview = overview;
  store.clustersById = new Map(overview.clusters.map((c) => [c.id, c]));
  store.nameCounts = countNames(inUse());
  for (const listener of [...listeners]) listener(overview);
}

// The clusters that have items. One that an edit emptied is shown nowhere, until undo brings its items back.
export const inUse = () => store.overview.clusters.filter((c) => c.size);

export async function refresh() {
  setOverview(await getJson("/api/overview"));
}

function countNames(clusters) {
  const counts = new Map();
  for (const { name } of clusters) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

// What a cluster is called: by its name, with its number where another one has the same name; or else by its number.
export function clusterTitle(id) {
  if (id < 0) return id === OUTLIER ? OUTLIERS : "Rejected";
  const { name } = store.clustersById.get(id) ?? {};
  if (!name) return `Cluster ${id}`;
  return store.nameCounts.get(name) > 1 ? `${name} (${id})` : name;
}

// The modality that an item is shown as in a grid: "image", "video" or "audio".
export const mainModality = () => ["video", "image", "audio"].find((m) => store.about.modalities.includes(m)) ?? "image";
