"""Exact shares: every label gets exactly its integer share of the items, at the least loss of score.

Labels `argmax_k (s_ik + v_k)` are the best there are for the sizes that they happen to have; the potentials v prove it
(complementary slackness). So exact sizes are reached by moving items along shortest paths from labels with too many items to
labels with too few. An edge from a to b costs the lowest s_ia - s_ib of a's items, and Dijkstra's algorithm runs on costs that v
makes non-negative. After each search the distances are added to v: every edge of the tree then costs nothing, and items move
along all paths that share no label (successive shortest paths; Ahuja, Magnanti & Orlin, 1993, section 9.7). The result is
optimal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def integer_shares(r: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whole numbers of items nearest to target shares.

    Largest remainders are rounded up; among equal remainders those of the labels with most items now.

    Args:
        r: (K,) target shares, summing to 1.
        counts: (K,) items that labels have now.

    Returns:
        (K,) int64 with the same sum as `counts`.
    """
    targets = r * counts.sum()
    shares = np.floor(targets + 1e-9).astype(np.int64)
    remainder = np.round(targets - shares, 9)
    order = np.lexsort((-counts, -remainder))
    shares[order[: counts.sum() - shares.sum()]] += 1
    return shares


def exact_labels(select_rows: Callable[[Tensor], Tensor], v: np.ndarray, r: np.ndarray, labels: Tensor) -> Tensor:
    """Change labels so that every label has exactly its integer share, at the least loss of score.

    Args:
        select_rows: from (n,) rows to their (n, K) scores.
        v: (K,) potentials that the labels are the argmax at.
        r: (K,) target shares.
        labels: (N,) int64.

    Returns:
        (N,) int64 on the labels' device.
    """
    K, result = len(r), labels.cpu().numpy().copy()
    counts = np.bincount(result, minlength=K)
    shares = integer_shares(r, counts)
    losses, movers = np.full((K, K), np.inf), np.full((K, K), -1)
    for a in range(K):
        update_edges(select_rows, result, a, losses, movers)
    v = v.copy()
    while (counts != shares).any():
        # --- shortest paths from labels with too many items, on reduced costs
        distance, previous = shortest_paths(losses + v[:, None] - v[None, :], counts > shares)
        # --- new potentials, under which every edge of a shortest path costs nothing
        v += np.minimum(distance, distance[np.isfinite(distance)].max())
        # --- augment along paths that share no label
        changed = move_items(distance, previous, counts, shares, result, movers)
        for a in changed:
            update_edges(select_rows, result, a, losses, movers)
    return torch.from_numpy(result).to(labels.device)


def update_edges(select_rows: Callable, labels: np.ndarray, a: int, losses: np.ndarray, movers: np.ndarray) -> None:
    """Set row a of the edges: the lowest loss of moving one of a's items to each label, and that item."""
    members = np.flatnonzero(labels == a)
    losses[a], movers[a] = np.inf, -1
    if len(members):
        scores = select_rows(torch.from_numpy(members)).cpu().double().numpy()
        loss = scores[:, a : a + 1] - scores
        cheapest = loss.argmin(axis=0)
        losses[a], movers[a] = loss[cheapest, np.arange(len(cheapest))], members[cheapest]
    losses[a, a] = np.inf


def shortest_paths(costs: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dijkstra's algorithm on a dense graph from several sources.

    Args:
        costs: (K, K) of the edges from row to column; slightly negative ones, from rounding, count as zero.
        sources: (K,) bool.

    Returns:
        (K,) distances from the nearest source, and (K,) the node before each on its path (-1 for sources and unreachable nodes).
    """
    K = len(costs)
    distance, previous, done = np.where(sources, 0.0, np.inf), np.full(K, -1), np.zeros(K, bool)
    for _ in range(K):
        a = int(np.where(done, np.inf, distance).argmin())
        if done[a] or not np.isfinite(distance[a]):
            break
        done[a] = True
        through_a = distance[a] + np.maximum(costs[a], 0)
        shorter = ~done & (through_a < distance)
        distance[shorter], previous[shorter] = through_a[shorter], a
    return distance, previous


def move_items(
    distance: np.ndarray,
    previous: np.ndarray,
    counts: np.ndarray,
    shares: np.ndarray,
    labels: np.ndarray,
    movers: np.ndarray,
) -> set[int]:
    """Move one item along every edge of the paths to labels with too few items, nearest first, where paths share no label.

    `counts` and `labels` change in place.

    Returns:
        The labels whose items changed.
    """
    used: set[int] = set()
    for b in sorted(np.flatnonzero(counts < shares), key=lambda k: distance[k]):
        path = [int(b)]
        while previous[path[-1]] >= 0:
            path.append(int(previous[path[-1]]))
        if used.intersection(path):
            continue
        used.update(path)
        for target, origin in pairwise(path):
            labels[movers[origin, target]] = target
        counts[path[-1]] -= 1
        counts[b] += 1
    return used
