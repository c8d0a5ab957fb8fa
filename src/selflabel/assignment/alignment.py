"""Which label of one labelling is which of another."""

from __future__ import annotations

import numpy as np


def contingency(a: np.ndarray, b: np.ndarray, n_a: int = 0, n_b: int = 0) -> np.ndarray:
    """(n_a, n_b) counts of items with label i in `a` and j in `b`."""
    n_a, n_b = max(n_a, int(a.max(initial=-1)) + 1), max(n_b, int(b.max(initial=-1)) + 1)
    return np.bincount(a.astype(np.int64) * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b)


def hungarian(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns matched so that the sum of matched counts is largest; min(rows, columns) pairs.

    Example:
        >>> rows, columns = hungarian(np.array([[1, 9], [8, 2]]))
        >>> columns.tolist()
        [1, 0]
    """
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(-counts)
