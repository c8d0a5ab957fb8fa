"""Which items are typical of their cluster: those of high confidence whose neighbours have the same label.

Axes: N items, k neighbours.
"""

from __future__ import annotations

import numpy as np

BLOCK = 65_536  # items whose neighbours are compared at a time


def neighbour_agreement(labels: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """The share of each item's neighbours that have its label, in 255ths.

    Args:
        labels: (N,) integers.
        neighbours: (N, k) rows; a memory map will do.

    Returns:
        (N,) uint8.
    """
    k = neighbours.shape[1]
    share = (np.arange(k + 1) * 255 // max(k, 1)).astype(np.uint8)
    small = labels.astype(np.int16) if labels.max(initial=0) < 32_767 else labels  # half the memory to look up in
    agreement = np.empty(len(labels), np.uint8)
    for start in range(0, len(labels), BLOCK):
        own = small[start : start + BLOCK]
        columns = np.ascontiguousarray(np.asarray(neighbours[start : start + BLOCK]).T)
        n_same = np.zeros(len(own), np.uint8)
        for rows in columns:
            n_same += np.take(small, rows, mode="clip") == own
        agreement[start : start + BLOCK] = share[n_same]
    return agreement


def typicality(confidence: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """How typical each item is of its cluster: half its confidence, half its neighbours' agreement.

    Args:
        confidence: (N,) in [0, 1].
        agreement: (N,) in 255ths, as `neighbour_agreement` gives it.

    Returns:
        (N,) uint16, 0 to 65534.
    """
    return (confidence * 32767 + agreement.astype(np.float32) * (32767 / 255)).astype(np.uint16)


def rows_by_label(labels: np.ndarray, typical: np.ndarray, max_label: int) -> tuple[np.ndarray, np.ndarray]:
    """All rows, ordered by label and within a label from the most typical on; equals are ordered by row.

    Two stable sorts of 16-bit keys are radix sorts: a million rows take 30 ms.

    Args:
        labels: (N,) integers from -1 on.
        typical: (N,) uint16, as `typicality` gives it.
        max_label: the largest label that there may be.

    Returns:
        (N,) int32 rows, and (max_label + 3,) where each label from -1 on begins in them, the end last.
    """
    order = np.argsort(np.uint16(65535) - typical, kind="stable").astype(np.int32)
    keys = labels[order] + 1
    order = order[np.argsort(keys.astype(np.uint16) if max_label < 65_534 else keys, kind="stable")]
    counts = np.bincount(labels + 1, minlength=max_label + 2)
    return order, np.concatenate([[0], np.cumsum(counts)])
