"""Class maps against true ones: pixel accuracy and mean IoU, after clusters were matched with classes.

Axes: C classes, K clusters, H x W pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.assignment.alignment import hungarian

NOT_LABELLED = 255  # in true maps: a pixel that does not count


def pixel_table(truth_HW: np.ndarray, found_HW: np.ndarray, n_classes: int, n_clusters: int) -> np.ndarray:
    """(C, K + 1) int64 counts of pixels by true class and cluster; the last column is that of pixels without a cluster.

    Args:
        truth_HW: 0 to C - 1; all other values do not count.
        found_HW: 0 to K - 1; all other values are no cluster.
        n_classes, n_clusters: C and K.

    Example:
        >>> pixel_table(np.array([[0, 1, 255]]), np.array([[2, -1, 0]]), 2, 3).tolist()
        [[0, 0, 1, 0], [0, 0, 0, 1]]
    """
    found, truth = found_HW.astype(np.int64), truth_HW.astype(np.int64)
    columns = np.where((found >= 0) & (found < n_clusters), found, n_clusters)
    counts = (truth >= 0) & (truth < n_classes)
    cells = truth[counts] * (n_clusters + 1) + columns[counts]
    return np.bincount(cells, minlength=n_classes * (n_clusters + 1)).reshape(n_classes, n_clusters + 1)


def class_map_scores(table: np.ndarray) -> dict[str, Any]:
    """Pixel accuracy and mean IoU of a whole set, in [0, 1].

    Clusters are matched one to one with classes so that most pixels are right (Hungarian method). A class without a cluster has
    an IoU of 0, and pixels of a cluster without a class are wrong. Classes that the truth does not have do not count.

    Args:
        table: (C, K + 1) sums of `pixel_table` over the pictures of a set.

    Returns:
        "accuracy", "miou", "iou" of each class that the truth has, by its number, and "pixels" that count.

    Example:
        >>> scores = class_map_scores(np.array([[0, 6, 0], [2, 2, 0]]))
        >>> scores["accuracy"], scores["miou"]
        (0.8, 0.625)
    """
    clusters = table[:, :-1]
    rows, columns = hungarian(clusters)
    right = np.zeros(len(table), np.int64)
    right[rows] = clusters[rows, columns]
    claimed = np.zeros(len(table), np.int64)
    claimed[rows] = clusters[:, columns].sum(axis=0)
    true, total = table.sum(axis=1), int(table.sum())
    ious = right / np.maximum(true + claimed - right, 1)
    known = np.flatnonzero(true)
    return {
        "accuracy": float(right.sum() / total) if total else 0.0,
        "miou": float(ious[known].mean()) if len(known) else 0.0,
        "iou": {int(c): float(ious[c]) for c in known},
        "pixels": total,
    }
