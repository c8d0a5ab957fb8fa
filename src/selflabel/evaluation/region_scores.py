"""The numbers that `score` prints for boxes and masks, each as one that can be computed of any draw of the pictures.

Axes: N pictures, P found and T true boxes of a picture, K true classes, C clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selflabel.assignment.alignment import hungarian
from selflabel.evaluation.bootstrap import Statistic, mean_of
from selflabel.evaluation.localisation import f_measures, pixel_accuracy, precision_of, ranked_hits
from selflabel.regions.boxes import box_ious, mask_iou

HALF = 0.5  # overlap from which on a box is right


class Boxes(NamedTuple):
    """The boxes of one picture, found or true: (P, 4), their scores (P,) by falling score, and their clusters or classes (P,)."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def box_statistics(found: Sequence[Boxes], true: Sequence[Boxes]) -> dict[str, Statistic]:
    """CorLoc of each picture's best box, and average precision of all boxes without regard to classes."""
    best = [box_ious(f.boxes[:1], t.boxes).max(initial=0) >= HALF if len(t.boxes) else np.nan for f, t in zip(found, true)]
    return {"CorLoc": mean_of(np.array(best, np.float64)), "AP50": precision_statistic(found, true)}


def precision_statistic(found: Sequence[Boxes], true: Sequence[Boxes]) -> Statistic:
    """Average precision at an overlap of HALF."""
    ranked = ranked_hits([f.boxes for f in found], [f.scores for f in found], [t.boxes for t in true], HALF)
    return Statistic(len(true), lambda counts: precision_of(ranked, counts))


def cluster_of_class(found: Sequence[Boxes], true: Sequence[Boxes], n_classes: int) -> np.ndarray:
    """(K,) the cluster that stands for each class, -1 for none: matched one to one by how many boxes of a cluster are right for a
    class (an overlap of HALF with a true box of it).
    """
    n_clusters = 1 + max((int(f.labels.max(initial=-1)) for f in found), default=-1)
    counts, matched = np.zeros((n_classes, max(1, n_clusters)), np.int64), np.full(n_classes, -1)
    for f, t in zip(found, true):
        overlaps = box_ious(f.boxes, t.boxes)
        if overlaps.size:
            best, is_right = overlaps.argmax(axis=1), overlaps.max(axis=1) >= HALF
            np.add.at(counts, (t.labels[best[is_right]], f.labels[is_right]), 1)
    classes, clusters = hungarian(counts)
    some = counts[classes, clusters] > 0
    matched[classes[some]] = clusters[some]
    return matched


def class_statistics(found: Sequence[Boxes], true: Sequence[Boxes], n_classes: int) -> list[Statistic]:
    """(K,) average precision of each class by the boxes of its cluster; of a class without a cluster 0.

    Args:
        found: with the numbers of clusters as labels.
        true: with those of classes, 0 to K - 1.
        n_classes: K.
    """
    clusters = cluster_of_class(found, true, n_classes)
    return [precision_statistic([only(f, clusters[k]) for f in found], [only(t, k) for t in true]) for k in range(n_classes)]


def only(boxes: Boxes, label: int) -> Boxes:
    """Those boxes that have a label."""
    chosen = boxes.labels == label
    return Boxes(boxes.boxes[chosen], boxes.scores[chosen], boxes.labels[chosen])


def mean_statistic(parts: Sequence[Statistic]) -> Statistic:
    """The mean of several numbers."""
    return Statistic(parts[0].n, lambda counts: float(np.mean([part.value(counts) for part in parts])))


class MaskScores(NamedTuple):
    """Of one picture, NaN where the truth has no object: IoU of the best region, IoU of all together, pixel accuracy of the best
    region, F at 256 thresholds of the score.
    """

    best: float
    together: float
    accuracy: float
    curve: np.ndarray


def mask_scores_of(masks: Sequence[np.ndarray], scores: np.ndarray, truth_HW: np.ndarray) -> MaskScores:
    """The scores of the regions of one picture.

    Args:
        masks: (P,) bool of the truth's shape, by falling score.
        scores: (P,) in [0, 1].
        truth_HW: bool.
    """
    soft = np.zeros(truth_HW.shape, np.float32)
    for mask, score in zip(masks, scores):
        soft[mask] = np.maximum(soft[mask], score)
    best, is_there = masks[0] if len(masks) else soft > 0, truth_HW.any()
    ious = (mask_iou(best, truth_HW), mask_iou(soft > 0, truth_HW)) if is_there else (np.nan, np.nan)
    return MaskScores(*ious, pixel_accuracy(best, truth_HW), f_measures(soft, truth_HW) if is_there else np.full(256, np.nan))


def mask_statistics(scores: Sequence[MaskScores]) -> dict[str, Statistic]:
    """Means over pictures, and the largest over thresholds of the mean F."""
    curves = np.stack([s.curve for s in scores])
    known = np.isfinite(curves[:, 0])
    filled = np.where(known[:, None], curves, 0.0)
    return {
        "IoU": mean_of(np.array([s.best for s in scores])),
        "IoU together": mean_of(np.array([s.together for s in scores])),
        "pixel accuracy": mean_of(np.array([s.accuracy for s in scores])),
        "maxF": Statistic(len(scores), lambda counts: float((counts @ filled / max(1e-12, counts @ known)).max())),
    }
