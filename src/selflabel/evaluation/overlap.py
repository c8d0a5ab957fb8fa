"""How much spans of one file overlap, and what overlaps most. Boxes: see `regions.boxes`."""

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
