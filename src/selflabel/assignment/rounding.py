"""EXACT SHARES: every label gets exactly its integer share of the items, at the least loss of score.

Labels `argmax_k (s_ik + v_k)` are the best there are for the sizes that they happen to have, since v proves it (complementary
slackness). So exact sizes are reached by moving items along shortest paths from labels with too many to labels with too
few: an edge from a to b costs the least s_ia - s_ib of a's items, and Dijkstra runs on costs that v makes non-negative.
After each search v takes up the distances, every edge of the tree then costs nothing, and all paths that share no label
are walked at once (successive shortest paths; Ahuja, Magnanti & Orlin, 1993, section 9.7). The result is optimal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def integer_shares(r: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(K,) whole numbers of items nearest to shares r, of as many items as `counts` holds.

    Largest remainders are rounded up; among equal ones those labels that hold most now.
    """
    wanted = r * counts.sum()
    shares = np.floor(wanted + 1e-9).astype(np.int64)
    remainder = np.round(wanted - shares, 9)
    order = np.lexsort((-counts, -remainder))
    shares[order[: counts.sum() - shares.sum()]] += 1
    return shares


def exact_labels(rows_of: Callable[[Tensor], Tensor], v: np.ndarray, r: np.ndarray, labels: Tensor) -> Tensor:
    """Labels with exactly r's integer shares.

    Args:
        rows_of: (n,) rows to their (n, K) scores.
        v: (K,) potentials that the labels are the argmax at.
        r: (K,) target shares.
        labels: (N,) int64.
    """
    K, found = len(r), labels.cpu().numpy().copy()
    counts = np.bincount(found, minlength=K)
    shares = integer_shares(r, counts)
    losses, movers = np.full((K, K), np.inf), np.full((K, K), -1)
    for a in range(K):
        weigh(rows_of, found, a, losses, movers)
    v = v.copy()
    while (counts != shares).any():
        distance, before = shortest(losses + v[:, None] - v[None, :], counts > shares)
        v += np.minimum(distance, distance[np.isfinite(distance)].max())
        touched = walk(distance, before, counts, shares, found, movers)
        for a in touched:
            weigh(rows_of, found, a, losses, movers)
    return torch.from_numpy(found).to(labels.device)


def weigh(rows_of: Callable, labels: np.ndarray, a: int, losses: np.ndarray, movers: np.ndarray) -> None:
    """Row a of the edges: the least loss of moving one of a's items to each label, and that item."""
    mine = np.flatnonzero(labels == a)
    losses[a], movers[a] = np.inf, -1
    if len(mine):
        scores = rows_of(torch.from_numpy(mine)).cpu().double().numpy()
        loss = scores[:, a : a + 1] - scores
        first = loss.argmin(axis=0)
        losses[a], movers[a] = loss[first, np.arange(len(first))], mine[first]
    losses[a, a] = np.inf


def shortest(costs: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances from the nearest source and the label before each on the way; Dijkstra on a dense graph.

    Costs a hair below nought, by rounding, count as nought.
    """
    K = len(costs)
    distance, before, done = np.where(sources, 0.0, np.inf), np.full(K, -1), np.zeros(K, bool)
    for _ in range(K):
        a = int(np.where(done, np.inf, distance).argmin())
        if done[a] or not np.isfinite(distance[a]):
            break
        done[a] = True
        there = distance[a] + np.maximum(costs[a], 0)
        nearer = ~done & (there < distance)
        distance[nearer], before[nearer] = there[nearer], a
    return distance, before


def walk(distance, before, counts, shares, labels, movers) -> set[int]:
    """Move one item along every edge of the shortest paths to labels with too few, nearest first, where they share none."""
    used: set[int] = set()
    for b in sorted(np.flatnonzero(counts < shares), key=lambda k: distance[k]):
        path = [int(b)]
        while before[path[-1]] >= 0:
            path.append(int(before[path[-1]]))
        if used.intersection(path):
            continue
        used.update(path)
        for target, origin in pairwise(path):
            labels[movers[origin, target]] = target
        counts[path[-1]] -= 1
        counts[b] += 1
    return used
