"""Outlines of objects as masks, pixel for pixel as the COCO API makes them (maskApi.c, `rleFrPoly` and `rleMerge`).

An outline is walked in steps of a fifth of a pixel. Where it passes from one column of pixels to the next, it switches between
outside and inside from that row on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selflabel.base.rle import MAX_SIDE, Rle, write_counts

SCALE = 5.0  # steps a pixel
MAX_STEPS = 1 << 21  # along an outline


def mask_of_outlines(outlines: Sequence[np.ndarray], width: int, height: int) -> Rle:
    """The pixels inside any of some outlines.

    Args:
        outlines: each (M, 2) float corners x, y in pixels, M at least 3.
        width, height: of the picture.

    Raises:
        ValueError: a corner is no finite number, or an outline leaves the picture by far.

    Example:
        >>> mask_of_outlines([np.array([[0, 0], [2, 0], [2, 2], [0, 2]])], 4, 3).decode().astype(int).tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    """
    n = width * height
    switches = [switches_of(outline, width, height) for outline in outlines]
    if len(switches) > 1:
        switches = [edges_of_union(switches, n)]
    return Rle(height, width, write_counts(runs_of(switches[0] if switches else np.zeros(0, np.int64), n)))


def switches_of(outline: np.ndarray, width: int, height: int) -> np.ndarray:
    """(S,) places in the mask, column by column, at which it switches between outside and inside, in ascending order."""
    corners = np.asarray(outline, np.float64)
    if not np.isfinite(corners).all() or np.abs(corners).max() > MAX_SIDE:
        raise ValueError("its outline leaves the picture by far")
    corners = np.trunc(SCALE * corners + 0.5).astype(np.int64)
    u, v = steps_along(corners, np.roll(corners, -1, axis=0))
    crosses = np.flatnonzero(u[1:] != u[:-1]) + 1
    x = np.minimum(u[crosses], u[crosses - 1])
    x = (np.where(u[crosses] < u[crosses - 1], u[crosses], u[crosses] - 1) + 0.5) / SCALE - 0.5
    is_column = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    y = (np.minimum(v[crosses], v[crosses - 1]) + 0.5) / SCALE - 0.5
    y = np.ceil(np.clip(y, 0, height))
    return np.sort((x * height + y)[is_column].astype(np.int64))


def steps_along(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points along edges (M, 2), both corners of each included, as x and y."""
    delta = np.abs(ends - starts)
    across = delta[:, 0] >= delta[:, 1]
    n = delta.max(axis=1)
    if n.sum() + len(n) > MAX_STEPS:
        raise ValueError("its outline leaves the picture by far")
    main, other = np.where(across, 0, 1), np.where(across, 1, 0)
    rows = np.arange(len(starts))
    flips = starts[rows, main] > ends[rows, main]
    low, high = np.where(flips[:, None], ends, starts), np.where(flips[:, None], starts, ends)
    edge = np.repeat(rows, n + 1)
    along = np.arange(len(edge)) - np.repeat(np.cumsum(n + 1) - (n + 1), n + 1)
    step = np.where(flips[edge], n[edge] - along, along)
    slope = (high - low)[rows, other] / np.maximum(n, 1)
    main_at = low[rows, main][edge] + step
    other_at = np.trunc(low[rows, other][edge] + slope[edge] * step + 0.5).astype(np.int64)
    return np.where(across[edge], main_at, other_at), np.where(across[edge], other_at, main_at)


def edges_of_union(switches: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The switches of the pixels inside any of several outlines; n: pixels of the mask."""
    places = np.concatenate([s[: len(s) // 2 * 2] if len(s) % 2 == 0 else np.append(s, n) for s in switches])
    change = np.concatenate([np.resize([1, -1], len(s) + len(s) % 2) for s in switches])
    order = np.argsort(places, kind="stable")
    places, inside = places[order], np.cumsum(change[order]) > 0
    last = np.diff(places, append=n + 1) > 0  # of several switches at a place only the state after the last counts
    places, inside = places[last], inside[last]
    return places[np.diff(inside.astype(np.int8), prepend=0) != 0]


def runs_of(switches: np.ndarray, n: int) -> np.ndarray:
    """Lengths of the runs of a mask of n pixels, outside first. Two switches at one place cancel each other."""
    places, counts = np.unique(switches[switches < n], return_counts=True)
    return np.diff(places[counts % 2 == 1], prepend=0, append=n)
