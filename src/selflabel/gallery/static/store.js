// The labels as the server has them, shared by all views.

import { getJson } from "./api.js";

export const store = { about: null, overview: null, clustersById: new Map() };
const listeners = new Set();

// Calls listener(overview) after every change; returns a function that ends this.
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function setOverview(overview) {
  store.overview = overview;
  store.clustersById = new Map(overview.clusters.map((c) => [c.id, c]));
  for (const listener of [...listeners]) listener(overview);
}

export async function refresh() {
  setOverview(await getJson("/api/overview"));
}

export const clusterTitle = (id) => (id < 0 ? "Rejected" : store.clustersById.get(id)?.name || `Cluster ${id}`);

// The modality that an item is shown as in a grid: "image", "video" or "audio".
export const mainModality = () => ["video", "image", "audio"].find((m) => store.about.modalities.includes(m)) ?? "image";
