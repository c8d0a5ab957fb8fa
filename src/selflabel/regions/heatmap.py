"""Regions of a heatmap: what is above a threshold that the map itself gives, in one piece.

No truth is used, and no size is assumed. Otsu (1979), "A threshold selection method from gray-level histograms": the threshold
that parts the values into two groups with the least variance within them.

Axes: H x W places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import label as label_components

LEVELS = 64  # of the histogram


class HeatRegion(NamedTuple):
    """A region. mask: (H, W) bool. score: the map's highest value in it."""

    mask: np.ndarray
    score: float


def otsu(values: np.ndarray) -> float:
    """The threshold between two groups of values, the upper one above it; where all are equal, that value.

    Example:
        >>> 0.1 <= otsu(np.array([0.0, 0.1, 0.05, 0.8, 0.9])) < 0.8
        True
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return high
    levels = np.minimum((values.ravel() - low) * (LEVELS / (high - low)), LEVELS - 1).astype(np.int64)
    counts = np.bincount(levels, minlength=LEVELS)
    below, sums = (
        counts.cumsum()[:-1],
        (counts * np.arange(LEVELS)).cumsum(),
    )  # the lowest level has a value, and so has the highest
    above = len(levels) - below
    between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return low + (float(best.mean()) + 1) * (high - low) / LEVELS  # the middle of a gap in which no value lies


def heat_regions(map_HW: np.ndarray, most: int, min_area: float) -> list[HeatRegion]:
    """The regions of a heatmap, by falling score; the one with the map's highest value is always there.

    Args:
        map_HW: float.
        most: regions, at most.
        min_area: share of the map that each further region has at least.

    Returns:
        No region where the map has one value only.

    Example:
        >>> heat = np.zeros((8, 8)); heat[1:3, 2:5] = 0.9; heat[6, 6] = 0.7
        >>> [(int(r.mask.sum()), r.score) for r in heat_regions(heat, most=3, min_area=0.02)]
        [(6, 0.9)]
    """
    inside = map_HW > otsu(map_HW)
    pieces, n = label_components(inside)
    if not n:
        return []
    peaks = np.full(n, -np.inf)
    np.maximum.at(peaks, pieces[inside] - 1, map_HW[inside])
    areas = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
    order = np.argsort(-peaks, kind="stable")
    kept = [i for i in order.tolist() if i == order[0] or areas[i] >= min_area * inside.size]
    return [HeatRegion(pieces == i + 1, float(peaks[i])) for i in kept[:most]]
