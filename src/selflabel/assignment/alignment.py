"""Match the labels of one labelling to those of another."""

from __future__ import annotations

import numpy as np


def contingency(a: np.ndarray, b: np.ndarray, n_a: int = 0, n_b: int = 0) -> np.ndarray:
    """Count how often labels of two labellings occur together.

    Args:
        a: (N,) labels of the first labelling, 0 or more.
        b: (N,) labels of the second.
        n_a: rows of the result at least; more where `a` has higher labels.
        n_b: columns of the result at least.

    Returns:
        (n_a, n_b) int64: entry (i, j) is how many items have label i in `a` and j in `b`.
    """
    n_a, n_b = max(n_a, int(a.max(initial=-1)) + 1), max(n_b, int(b.max(initial=-1)) + 1)
    return np.bincount(a.astype(np.int64) * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b)


def hungarian(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match rows to columns so that the sum of the matched counts is largest.

    Args:
        counts: (R, C), for example from `contingency`.

    Returns:
        Rows and columns of the min(R, C) pairs, each int64.

    Example:
        >>> rows, columns = hungarian(np.array([[1, 9], [8, 2]]))
        >>> columns.tolist()
        [1, 0]

    Source: Kuhn, 1955, by scipy's `linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(-counts)
