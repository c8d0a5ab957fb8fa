"""How well boxes and masks fit those of people: of masks IoU, pixel accuracy and the largest F, of boxes CorLoc and AP50.

Axes: P boxes found, T boxes of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selflabel.regions.boxes import box_ious, mask_iou

BETA2 = 0.3  # weight of recall in F, as in the literature on salient objects (Achanta et al., 2009)
LEVELS = 256  # thresholds of the largest F


def pixel_accuracy(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the pixels of two boolean masks that are equal."""
    return float((found == truth).mean())


def f_measures(soft: np.ndarray, truth: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """(levels,) F of a soft mask cut at 0, 1 / (levels - 1), ..., 1: (1 + b) precision recall / (b precision + recall), b = .3.

    Args:
        soft: in [0, 1].
        truth: bool, of the same shape.
        levels: thresholds; a pixel at a threshold is inside.
    """
    bins = np.floor(np.clip(soft, 0, 1) * (levels - 1) + 1e-6).astype(np.int64).reshape(-1)
    inside, hit = (np.bincount(b, minlength=levels)[::-1].cumsum()[::-1] for b in (bins, bins[truth.reshape(-1)]))
    precision, recall = hit / np.maximum(inside, 1), hit / max(1, int(truth.sum()))
    below = BETA2 * precision + recall
    return np.divide((1 + BETA2) * precision * recall, below, out=np.zeros(levels), where=below > 0)


def mask_scores(softs: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> dict[str, float]:
    """Means over pictures of IoU and accuracy at .5, and the largest over thresholds of the mean F ("maxF").

    Args:
        softs: of each picture a soft mask in [0, 1].
        truths: of each picture a boolean mask.
    """
    hard = [soft > 0.5 for soft in softs]
    return {
        "iou": float(np.mean([mask_iou(a, b) for a, b in zip(hard, truths)])),
        "accuracy": float(np.mean([pixel_accuracy(a, b) for a, b in zip(hard, truths)])),
        "maxF": float(np.mean([f_measures(a, b) for a, b in zip(softs, truths)], axis=0).max()),
    }


def corloc(firsts: Sequence[np.ndarray | None], truths: Sequence[np.ndarray], least: float = 0.5) -> float:
    """Share of pictures whose one box has an IoU of at least `least` with any true box (Deselaers et al., 2010).

    Args:
        firsts: of each picture its best box (4,), None where nothing was found.
        truths: of each picture its true boxes (T, 4).
        least: the IoU that counts.
    """
    hits = [box is not None and box_ious(box[None], truth).max(initial=0) >= least for box, truth in zip(firsts, truths)]
    return float(np.mean(hits))


def average_precision(
    founds: Sequence[np.ndarray], scores: Sequence[np.ndarray], truths: Sequence[np.ndarray], least: float = 0.5
) -> float:
    """Class-agnostic average precision as COCO computes it: boxes of all pictures by falling score, each matched to the true box
    of its picture that overlaps it most and has no box yet; precision made falling, at 101 recalls.

    Args:
        founds: of each picture its boxes (P, 4).
        scores: of each picture their scores (P,).
        truths: of each picture its true boxes (T, 4).
        least: the IoU from which on a box matches.
    """
    return precision_of(ranked_hits(founds, scores, truths, least), np.ones(len(truths)))


class RankedHits(NamedTuple):
    """Boxes of all pictures by falling score.

    Args:
        hit: (P,) bool, whether it takes a true box.
        picture: (P,) where it is.
        true: (N,) true boxes of each picture.
    """

    hit: np.ndarray
    picture: np.ndarray
    true: np.ndarray


def ranked_hits(
    founds: Sequence[np.ndarray], scores: Sequence[np.ndarray], truths: Sequence[np.ndarray], least: float = 0.5
) -> RankedHits:
    """See `average_precision`."""
    orders = [np.argsort(-s, kind="stable") for s in scores]
    hits = [matched(boxes[order], truth, least) for boxes, order, truth in zip(founds, orders, truths)]
    falling = np.concatenate([s[order] for s, order in zip(scores, orders)]) if scores else np.zeros(0)
    pictures = np.repeat(np.arange(len(founds)), [len(found) for found in founds])
    hit, order = np.concatenate(hits) if hits else np.zeros(0, bool), np.argsort(-falling, kind="stable")
    return RankedHits(hit[order], pictures[order], np.array([len(t) for t in truths]))


def precision_of(ranked: RankedHits, counts_N: np.ndarray) -> float:
    """Average precision of boxes that are matched; counts_N: how often each picture counts."""
    weight, n_true = counts_N[ranked.picture], float(counts_N @ ranked.true) if len(counts_N) else 0.0
    if not n_true or not weight.sum():
        return 0.0
    right = (weight * ranked.hit).cumsum()
    recall, precision = right / n_true, right / np.maximum(weight.cumsum(), 1e-12)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-12)
    return float(np.where(places < len(falling), falling[np.minimum(places, len(falling) - 1)], 0).mean())


def matched(boxes_P4: np.ndarray, truth_T4: np.ndarray, least: float) -> np.ndarray:
    """(P,) bool of one picture's boxes by falling score: whether each takes a true box that no better one took."""
    overlaps, hits = box_ious(boxes_P4, truth_T4), np.zeros(len(boxes_P4), bool)
    for i, row in enumerate(overlaps):
        if len(row) and row.max() >= least:
            hits[i] = True
            overlaps[:, row.argmax()] = -1
    return hits
