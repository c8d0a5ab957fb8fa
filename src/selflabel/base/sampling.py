"""Samples of rows that stand for all."""

from __future__ import annotations

import numpy as np


def drawn_rows(n: int, most: int) -> np.ndarray:
    """Rows of n items, ascending: all, or so many at random and always the same.

    Evenly spaced rows would miss whole classes where classes take turns in the order of the items.

    Args:
        n: items.
        most: rows, at most.

    Returns:
        (min(n, most),) int64.

    Example:
        >>> drawn_rows(3, 5).tolist(), len(drawn_rows(100, 5))
        ([0, 1, 2], 5)
    """
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).permutation(n)[:most])
