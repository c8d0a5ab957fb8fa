"""cleanlab: labels.npy and pred_probs.npy, which find likely mistakes; items.csv has each row's item, classes.json the names.

The run keeps the five best labels of an item; the rest of its probability is spread evenly over the other classes. Merged
clusters' probabilities add up, and a split cluster's goes to the part whose centre is nearest.

Axes: B items, T best labels, K classes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from selflabel.edits import apply_to_unseen
from selflabel.exports import csv_file
from selflabel.exports.context import ExportContext
from selflabel.runs.reading import read_table

BLOCK = 16_384  # items at a time
MIN_PROBABILITY = 1e-6  # cleanlab takes logarithms


def write(context: ExportContext, folder: Path) -> None:
    """Write both arrays, items.csv and classes.json."""
    rows, K = context.rows, len(context.categories)
    np.save(folder / "labels.npy", context.category_of_label[context.labels[rows]].astype(np.int64), allow_pickle=False)
    (folder / "classes.json").write_text(json.dumps(context.class_names, ensure_ascii=False) + "\n", encoding="utf-8")
    csv_file.write(context, folder / "items.csv")
    best = BestClasses(context)
    with (folder / "pred_probs.npy").open("wb") as out:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), K)}
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, len(rows), BLOCK):
            classes_BT, probabilities_BT = best.of(rows[start : start + BLOCK])
            out.write(spread(classes_BT, probabilities_BT, K).astype("<f4").tobytes())


class BestClasses:
    """The best labels of items, as the classes that they are after the edits, with their probabilities.

    Args:
        context: the export.
    """

    def __init__(self, context: ExportContext):
        run = context.run
        self.context, self.top = context, read_table(run.file("top.parquet"), rows=len(context.labels))
        self.clusters = np.unique(run.raw_labels["label"].to_numpy()) if context.edits else np.zeros(0, np.int32)
        self.features = run.features if context.edits else None

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The classes of B items, (B, T), -1 for a label that is no class any more, and their probabilities (B, T)."""
        block = self.top.take(rows)
        labels_BT, probabilities_BT = (np.array(block[name].to_pylist()) for name in ("labels", "probabilities"))
        if self.features is not None:
            labels_BT = self.after_edits(labels_BT, self.features[rows])
        category_of_label = self.context.category_of_label
        return category_of_label[np.minimum(labels_BT, len(category_of_label) - 1)], probabilities_BT

    def after_edits(self, labels_BT: np.ndarray, features_BD: np.ndarray) -> np.ndarray:
        edits, clusters = self.context.edits, self.clusters
        return np.stack([apply_to_unseen(labels_B, features_BD, edits, clusters).labels for labels_B in labels_BT.T], axis=1)


def spread(classes_BT: np.ndarray, probabilities_BT: np.ndarray, K: int) -> np.ndarray:
    """Probabilities of all classes from those of the best.

    Args:
        classes_BT: (B, T); -1 for what is no class, whose probability is spread like the rest.
        probabilities_BT: (B, T) in [0, 1].
        K: classes.

    Returns:
        (B, K) rows that add up to 1; what is not in a row's T is the same for all other classes, and at least 1e-6.
    """
    B = len(classes_BT)
    sums = np.zeros((B, K + 1))  # the last column takes what -1 points to
    np.add.at(sums, (np.arange(B)[:, None], classes_BT), probabilities_BT)
    known, is_unknown = sums[:, :K], sums[:, :K] == 0
    rest = np.maximum(1 - known.sum(axis=1, keepdims=True), 0) / np.maximum(is_unknown.sum(axis=1, keepdims=True), 1)
    rows = np.maximum(np.where(is_unknown, rest, known), MIN_PROBABILITY)
    return rows / rows.sum(axis=1, keepdims=True)
