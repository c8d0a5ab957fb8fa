"""How well a query finds what is relevant to it: nDCG, as "Objects that Sound" (ECCV 2018) scores retrieval.

Axes: Q queries, N items of the database.
"""

from __future__ import annotations

import numpy as np

TOP = 30  # ranks that count, as published


def ndcg(similarity_QN: np.ndarray, relevance_QN: np.ndarray, top: int = TOP) -> float:
    """The mean over queries of the gain of the first `top` items over the highest possible one; from 0 to 1.

    An item at rank r (from 1) gains its relevance over log2(r + 1). Queries to which nothing is relevant do not count.

    Args:
        similarity_QN: the higher, the earlier; -inf for an item that is not in the query's database, such as the query itself.
        relevance_QN: 0 and more.
        top: ranks that count.

    Example:
        >>> relevance = np.array([[1, 0, 1]])
        >>> round(ndcg(np.array([[3.0, 2.0, 1.0]]), relevance), 3), ndcg(np.array([[3.0, 1.0, 2.0]]), relevance)
        (0.92, 1.0)
    """
    relevance = np.where(np.isneginf(similarity_QN), 0.0, relevance_QN)
    order = np.argsort(-similarity_QN, axis=1, kind="stable")[:, :top]
    discount = 1 / np.log2(np.arange(order.shape[1]) + 2)
    gained = (np.take_along_axis(relevance, order, axis=1) * discount).sum(axis=1)
    possible = (-np.sort(-relevance, axis=1)[:, :top] * discount).sum(axis=1)
    counts = possible > 0
    return float((gained[counts] / possible[counts]).mean()) if counts.any() else float("nan")


def chance_ndcg(relevance_QN: np.ndarray, top: int = TOP) -> float:
    """The expected nDCG of a random order.

    Example:
        >>> round(chance_ndcg(np.array([[1, 0, 0, 0]])), 3)
        0.64
    """
    n = relevance_QN.shape[1]
    discount = 1 / np.log2(np.arange(min(top, n)) + 2)
    expected = relevance_QN.mean(axis=1) * discount.sum()
    possible = (-np.sort(-relevance_QN, axis=1)[:, :top] * discount).sum(axis=1)
    counts = possible > 0
    return float((expected[counts] / possible[counts]).mean()) if counts.any() else float("nan")
