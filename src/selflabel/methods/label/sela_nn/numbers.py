"""Whether given features clearly show another number of clusters than was asked for.

Numbers are ranked as where K is to be found, but only as far as they are needed, and on a sample of a large set: this takes a
tenth of a second for ten clusters, a second for a hundred.

Axes: N items, D features, k neighbours, K labels.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from selflabel.assignment.neighbours import nearest
from selflabel.methods.label.sela_nn import candidates

SAMPLE = 3_000  # items by which numbers are ranked
REACH = 3  # times the number asked for, up to which numbers are tried; and again, where the last one is the best
CLEARLY, FAR = 1.3, 1.5  # factors by which the merit of another number must exceed that of the one asked for, and that number it
CLUSTERED = 0.2  # the least merit of features that show any number, as a share of the most that so many labels can have


def clearly_shown(x_ND: Tensor, neighbours_Nk: Tensor, K: int, seed: int) -> list[tuple[int, float]]:
    """Numbers of clusters with their merit, best first, where one is clearly better than the K asked for; else empty.

    Args:
        x_ND: (N, D) features.
        neighbours_Nk: (N, k) int32 rows in these features, nearest first.
        K: the number asked for.
        seed: of the sample and of the eigenvectors.
    """
    if K < 2:
        return []
    ranked = ranked_numbers(*sampled(x_ND, neighbours_Nk, seed), K, seed)
    merits = dict(ranked)
    if K not in merits:
        return []
    found, merit = ranked[0]
    is_far, is_better = max(found / K, K / found) >= FAR, merit >= CLEARLY * merits[K]
    return ranked if is_far and is_better and merit >= CLUSTERED * math.log(found) else []


def sampled(x_ND: Tensor, neighbours_Nk: Tensor, seed: int) -> tuple[Tensor, int]:
    """(neighbours, items) of the set, or of a sample of a large one."""
    N = len(x_ND)
    if N <= SAMPLE:
        return neighbours_Nk, N
    rows = np.sort(np.random.default_rng(seed).choice(N, SAMPLE, replace=False))
    return nearest(x_ND[rows], candidates.GRAPH_NEIGHBOURS).rows.int(), SAMPLE


def ranked_numbers(neighbours_Nk: Tensor, n_items: int, K: int, seed: int) -> list[tuple[int, float]]:
    """Numbers of clusters, K among them, with their merits, the best first; without K where it is too large for the items."""
    tried = candidates.numbers_to_try(n_items)
    most = REACH * K
    while True:
        numbers = sorted({k for k in tried if k <= most} | {k for k in [K] if k <= tried[-1]}) or tried[:1]
        directions = candidates.graph_directions(neighbours_Nk, numbers[-1], seed)
        ranked = candidates.rank_numbers_of_clusters(neighbours_Nk, directions, numbers)
        if ranked[0][0] < numbers[-1] or most >= tried[-1]:
            return ranked
        most *= REACH
