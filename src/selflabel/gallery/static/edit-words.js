// An edit that waits, in a few words.

import { plural } from "./format.js";
import { clusterTitle } from "./store.js";

const WORDS = {
  name: ({ cluster, name }) => (name ? `name “${name}” for cluster ${cluster}` : `no name for cluster ${cluster}`),
  merge: ({ clusters, into }) => `merge of ${plural(clusters.length, "cluster")} into ${clusterTitle(into)}`,
  split: ({ cluster, parts }) => `split of ${clusterTitle(cluster)} into ${parts}`,
  move: ({ items, to, name }) => `move of ${plural(items.length, "item")} to ${target(to, name)}`,
  reject: ({ items }) => `reject of ${plural(items.length, "item")}`,
  restore: ({ items }) => `return of ${plural(items.length, "item")}`,
  undo: () => "undo",
  redo: () => "redo",
};

const target = (to, name) => (to !== null ? clusterTitle(to) : name ? `new cluster “${name}”` : "a new cluster");

export const editWords = (edit) => WORDS[edit.do]?.(edit) ?? edit.do;
