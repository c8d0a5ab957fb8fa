"""How well a map of classes fits one that people drew: mean IoU and pixel accuracy, clusters matched one to one to classes.

Axes: K true classes, C clusters.
"""

from __future__ import annotations

import numpy as np

from selflabel.assignment.alignment import contingency, hungarian

NOT_LABELLED = 255


def pixel_counts(truth_HW: np.ndarray, found_HW: np.ndarray, n_classes: int, n_clusters: int) -> np.ndarray:
    """(K, C) how many pixels have a class and a cluster; those that nobody labelled (255) do not count.

    Args:
        truth_HW: 0 to K - 1, or NOT_LABELLED.
        found_HW: 0 to C - 1, of the same shape.
        n_classes, n_clusters: K and C.
    """
    known = truth_HW != NOT_LABELLED
    return contingency(truth_HW[known], found_HW[known], n_classes, n_clusters)


def matched_counts(counts_KC: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((K,) pixels that are right, (K,) true ones, (K,) those of the matched cluster); matched so that most are right."""
    right, found = np.zeros(len(counts_KC), np.int64), np.zeros(len(counts_KC), np.int64)
    classes, clusters = hungarian(counts_KC)
    right[classes] = counts_KC[classes, clusters]
    found[classes] = counts_KC.sum(axis=0)[clusters]
    return right, counts_KC.sum(axis=1), found


def mean_iou(counts_KC: np.ndarray) -> float:
    """Mean over the classes that occur of intersection over union (Cho et al., 2021; Hamilton et al., 2022).

    Example:
        >>> mean_iou(np.array([[3, 1], [0, 4]])), pixel_accuracy_of(np.array([[3, 1], [0, 4]]))
        (0.775, 0.875)
    """
    right, true, found = matched_counts(counts_KC)
    occurs = true > 0
    return float((right[occurs] / (true + found - right)[occurs]).mean()) if occurs.any() else 0.0


def pixel_accuracy_of(counts_KC: np.ndarray) -> float:
    """Share of the labelled pixels that are right."""
    return float(matched_counts(counts_KC)[0].sum() / max(1, counts_KC.sum()))
