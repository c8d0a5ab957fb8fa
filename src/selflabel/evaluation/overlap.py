"""How much pieces of one file overlap: seconds of spans, intersection over union of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def seconds_in(spans: np.ndarray, window: np.ndarray) -> np.ndarray:
    """(M, 2) the parts of spans (M, 2) that lie in a window (2,), in seconds; an end at or before the start where none does."""
    return np.stack([np.maximum(spans[:, 0], window[0]), np.minimum(spans[:, 1], window[1])], axis=1)


def covered_seconds(spans: np.ndarray) -> float:
    """Seconds that spans (M, 2) cover together; what several cover counts once.

    Example:
        >>> covered_seconds(np.array([[0, 2], [1, 3], [5, 6], [9, 8]]))
        4.0
    """
    total, end = 0.0, -np.inf
    for first, last in sorted(map(tuple, spans.tolist())):
        if last > max(first, end):
            total += last - max(first, end)
            end = last
    return total


def box_iou(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(M,) intersection over union of boxes (M, 4) with one box (4,): x0, y0, x1, y1.

    Example:
        >>> box_iou(np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]]), np.array([0, 0, 2, 2])).round(3).tolist()
        [1.0, 0.333, 0.0]
    """
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    return np.divide(shared, union, out=np.zeros(len(boxes)), where=union > 0)


def most_covering(spans: np.ndarray, values: Sequence[str], window: np.ndarray) -> str | None:
    """The value whose spans (M, 2) cover most of a window (2,); None where none covers any of it. Of equal ones the first."""
    inside = seconds_in(spans, window)
    rows = np.flatnonzero(inside[:, 1] > inside[:, 0]).tolist()
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(values[row], []).append(row)
    return max(groups, key=lambda value: covered_seconds(inside[groups[value]]), default=None)


def most_overlapping(overlaps: np.ndarray) -> int | None:
    """The row of the greatest overlap (M,); None where nothing overlaps."""
    return int(overlaps.argmax()) if len(overlaps) and overlaps.max() > 0 else None
