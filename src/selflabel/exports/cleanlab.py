"""cleanlab: labels.npy and pred_probs.npy, which find likely mistakes; items.csv says whose row is whose, classes.json the names.

The run keeps the five best labels of an item; what is left of its probability is spread evenly over the other classes. Merged
clusters' probabilities add up, and a split cluster's goes to the part whose centre is nearest.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from selflabel.edits import apply_to_unseen
from selflabel.exports import csv_file
from selflabel.exports.base import Format, Taken

BLOCK = 16_384  # items at a time
LEAST = 1e-6  # a probability of nought would make cleanlab's logarithms infinite


def write(taken: Taken, folder: Path) -> None:
    rows, K = taken.rows, len(taken.categories)
    np.save(folder / "labels.npy", taken.place_of[taken.labels[rows]].astype(np.int64), allow_pickle=False)
    (folder / "classes.json").write_text(json.dumps(taken.names, ensure_ascii=False) + "\n", encoding="utf-8")
    csv_file.write(taken, folder / "items.csv")
    best = Best(taken)
    with (folder / "pred_probs.npy").open("wb") as out:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), K)}
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, len(rows), BLOCK):
            out.write(spread(*best.of(rows[start : start + BLOCK]), K).astype("<f4").tobytes())


class Best:
    """The best labels of items as the classes that they are by now, and their probabilities."""

    def __init__(self, taken: Taken):
        import pyarrow.parquet as pq

        run = taken.run
        self.taken, self.top = taken, pq.read_table(run.folder / "top.parquet")
        self.edits = taken.edits
        self.clusters = np.unique(run.raw_labels["label"].to_numpy()) if self.edits else np.zeros(0, np.int32)
        self.features = run.features if self.edits else None

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) classes, -1 for a label that is no class any more, and (B, T) probabilities."""
        some = self.top.take(rows)
        labels, found = (np.array(some[name].to_pylist()) for name in ("labels", "probabilities"))
        if self.features is not None:
            seen = self.features[rows]
            labels = np.stack([apply_to_unseen(x, seen, self.edits, self.clusters).labels for x in labels.T], axis=1)
        place_of = self.taken.place_of
        return place_of[np.minimum(labels, len(place_of) - 1)], found


def spread(classes_BT: np.ndarray, found_BT: np.ndarray, K: int) -> np.ndarray:
    """(B, K) rows that add up to 1: what was found where it was found, the rest even over the classes not found."""
    B = len(classes_BT)
    whole = np.zeros((B, K + 1))
    np.add.at(whole, (np.arange(B)[:, None], classes_BT), found_BT)  # what is no class any more falls into the last column
    rows, unknown = whole[:, :K], whole[:, :K] == 0
    rest = np.maximum(1 - rows.sum(axis=1, keepdims=True), 0) / np.maximum(unknown.sum(axis=1, keepdims=True), 1)
    rows = np.maximum(np.where(unknown, rest, rows), LEAST)
    return rows / rows.sum(axis=1, keepdims=True)


FORMAT = Format(
    what="labels.npy and pred_probs.npy",
    reads="cleanlab: find_label_issues(labels, pred_probs)",
    write=write,
    wants_source=False,
)
