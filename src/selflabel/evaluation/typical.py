"""Which items are typical of their cluster: those of high confidence whose neighbours have the same label. N items."""

from __future__ import annotations

import numpy as np

BLOCK = 65_536  # items whose neighbours are looked at together


def neighbour_agreement(labels: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """(N,) share of each item's neighbours that have its label, in 255ths."""
    k = neighbours.shape[1]
    share = (np.arange(k + 1) * 255 // max(k, 1)).astype(np.uint8)
    small = labels.astype(np.int16) if labels.max(initial=0) < 32_767 else labels  # half the memory to look up in
    found = np.empty(len(labels), np.uint8)
    for start in range(0, len(labels), BLOCK):
        own = small[start : start + BLOCK]
        columns = np.ascontiguousarray(np.asarray(neighbours[start : start + BLOCK]).T)
        same = np.zeros(len(own), np.uint8)
        for rows in columns:
            same += np.take(small, rows, mode="clip") == own
        found[start : start + BLOCK] = share[same]
    return found


def sureness_of(confidence: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """(N,) uint16: confidence in [0, 1] and agreement in 255ths, half each."""
    return (confidence * 32767 + agreement.astype(np.float32) * (32767 / 255)).astype(np.uint16)


def grouped(labels: np.ndarray, sureness: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows by label, within one from the surest on, equals by row; and where each label from -1 to `most` begins.

    Two stable sorts of 16-bit keys are radix sorts: a million rows take 30 ms.
    """
    order = np.argsort(np.uint16(65535) - sureness, kind="stable").astype(np.int32)
    keys = labels[order] + 1
    order = order[np.argsort(keys.astype(np.uint16) if most < 65_534 else keys, kind="stable")]
    counts = np.bincount(labels + 1, minlength=most + 2)
    return order, np.concatenate([[0], np.cumsum(counts)])
