"""Whether a labelling has collapsed: judged once, of finished labels, without truth.

An uneven labelling is no collapse: a small group of its own has neighbours of its own label. What collapsed leaves labels with
single items, or with items whose neighbours are all in the largest label.

Axes: N items, K labels, k neighbours, D features.
"""

from __future__ import annotations

import numpy as np

SUPPORTED = 0.2  # of the way from chance to 1: neighbours that share the label of items outside the largest label
NEARLY_ALL = 0.95  # share of the items; with half of the labels empty it is a collapse, however clear the rest is
BLOCK_ROWS = 16_384  # items that are compared with the mean at a time
EQUAL = 1e-4  # spread of the features over their length


def is_collapsed(labels: np.ndarray, K: int, neighbours: np.ndarray) -> bool:
    """Whether one label holds nearly all items, and the others hold no group that the neighbours know.

    Args:
        labels: (N,) in 0 .. K - 1.
        K: labels asked for; one label cannot collapse.
        neighbours: (N, k) rows of each item's nearest neighbours.

    Example:
        >>> near = (np.arange(40)[:, None] + np.array([1, 2])) % 40
        >>> is_collapsed(np.zeros(40, int), 2, near), is_collapsed((np.arange(40) >= 36).astype(int), 2, near)
        (True, False)
    """
    sizes = np.bincount(labels, minlength=K)
    largest, found = sizes.max() / len(labels), int((sizes > 0).sum())
    if K < 2 or found < 2:
        return K > 1
    if largest <= (1 + 1 / K) / 2:  # half-way between an equal share and all
        return False
    if largest >= NEARLY_ALL and found <= K / 2:
        return True
    return support_outside(labels, sizes, neighbours) < SUPPORTED


def support_outside(labels: np.ndarray, sizes: np.ndarray, neighbours: np.ndarray) -> float:
    """How far the neighbours of items outside the largest label share their label: 0 is chance, 1 is all.

    A label of m items can have at most m - 1 neighbours of its own; only so many, the nearest, are asked.

    Args:
        labels: (N,).
        sizes: (K,) items of each label, at least two of them more than 0.
        neighbours: (N, k) rows, nearest first.
    """
    rows = np.flatnonzero(labels != sizes.argmax())
    same = labels[neighbours[rows]] == labels[rows, None]
    asked = np.arange(neighbours.shape[1])[None, :] < (sizes[labels[rows]] - 1)[:, None]
    share = (same & asked).sum(axis=1) / np.maximum(asked.sum(axis=1), 1)
    chance = sizes[labels[rows]] / len(labels)
    return float(((share - chance) / (1 - chance)).mean())


def are_equal(features: np.ndarray) -> bool:
    """Whether the features (N, D) of all items are the same, up to rounding."""
    blocks = np.array_split(features, -(-len(features) // BLOCK_ROWS))
    mean = features.mean(axis=0, dtype=np.float64)
    spread = max(np.linalg.norm(block.astype(np.float64) - mean, axis=1).max() for block in blocks)
    return bool(spread <= EQUAL * max(1e-12, float(np.linalg.norm(mean))))
