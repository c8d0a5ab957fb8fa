"""How much each of several feature spaces counts, without truth, so that a weak one does not spoil a good one.

The rows of all spaces stand side by side, each space times a weight, so that similarities of items are the weighted sum of those
in each. Shares are judged by how clustered such rows are: the information I (I / H) between the labels of neighbours
(`assignment.merit`), in labels that spectral clustering finds, adjusted for what it is in rows of a Gaussian of the same
covariance. Unadjusted, a space of few directions would win, such as one of colours: neighbours agree there whatever the labels
are. The reference is that of the gap statistic (Tibshirani, Walther & Hastie, 2001), the adjustment that of the adjusted Rand
index.

Axes: N items, D features, S spaces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.merit import joint_merit, neighbour_joint
from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import neighbour_graph, spectral_directions
from selflabel.base.sampling import drawn_rows

SAMPLE = 3000  # items by which spaces are judged
FEWEST = 60  # below so many they are not judged
TINY = 1e-6
NEIGHBOURS = 15
STARTS = 3  # of k-means in the spectral embedding
SHARES = (0.1, 0.25, 0.5)  # that a further space may have
LEAST_GAIN = 1.1  # by which it must be better with a further space


def sample_rows(n_items: int) -> Tensor:
    """(M,) int64 rows of at most SAMPLE items."""
    return torch.from_numpy(drawn_rows(n_items, SAMPLE))


def space_shares(spaces: Sequence[Tensor], K: int, seed: int) -> list[float]:
    """The share that each space has in the similarities of items.

    The most clustered space comes first. Of each other one, most clustered first, the share is taken that makes the rows most
    clustered, or none.

    Args:
        spaces: (N, D) features of each, of some thousand items (`sample_rows`): time and memory grow with their square.
        K: number of clusters, about.
        seed: of the clusterings.

    Returns:
        (S,) shares that sum to 1; 0 for a space that does not help. Equal ones for fewer than FEWEST items.

    Example:
        >>> y = torch.arange(300) % 3
        >>> good = torch.eye(3)[y] + 0.1 * torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
        >>> noise = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))
        >>> space_shares([noise, good], 3, 0)
        [0.0, 1.0]
    """
    N, S = len(spaces[0]), len(spaces)
    if N < FEWEST:
        return [1 / S] * S
    even = [x / spread_of(x).sqrt() for x in map(scaled_rows, spaces)]
    return best_shares(even, min(K, N // NEIGHBOURS), seed).tolist()


def space_weights(spaces: Sequence[Tensor], shares: Sequence[float]) -> list[float]:
    """What the scaled rows of each space are multiplied with, so that it has its share: the root of share over spread."""
    return [float((share / spread_of(scaled_rows(x))).sqrt()) for x, share in zip(spaces, shares)]


def best_shares(spaces: Sequence[Tensor], K: int, seed: int) -> Tensor:
    """(S,) shares that sum to 1. spaces: (N, D) rows of equal spread. The rest is as in `space_shares`."""
    alone = torch.eye(len(spaces))
    scores = [clusteredness(join(spaces, shares), K, seed) for shares in alone]
    order = sorted(range(len(spaces)), key=lambda s: -scores[s])
    best, best_score = alone[order[0]], scores[order[0]]
    for s in order[1:]:
        mixed = [(1 - share) * best + share * alone[s] for share in SHARES]
        score, place = max((clusteredness(join(spaces, shares), K, seed), i) for i, shares in enumerate(mixed))
        if score > LEAST_GAIN * best_score:
            best, best_score = mixed[place], score
    return best


def join(spaces: Sequence[Tensor], shares: Tensor) -> Tensor:
    """(N, sum of D) the spaces with a share, side by side."""
    return torch.cat([x * share.sqrt() for x, share in zip(spaces, shares) if share > 0], dim=1)


def clusteredness(x_ND: Tensor, K: int, seed: int) -> float:
    """The information between the labels of neighbours, adjusted for chance: 1 for K labels that all neighbours share, 0 for what
    rows of a Gaussian of the same covariance have.
    """
    centred = x_ND - x_ND.mean(dim=0)
    draws = torch.randn(len(x_ND), len(x_ND), generator=torch.Generator().manual_seed(seed)).to(x_ND)
    found, by_chance = (neighbour_information(rows, K, seed) for rows in (centred, draws @ centred))
    return (found - by_chance) / max(math.log(K) - by_chance, TINY)


def neighbour_information(x_ND: Tensor, K: int, seed: int) -> float:
    """I (I / H) between an item's label and its neighbours', in nats, of K labels by spectral clustering."""
    rows = nearest(x_ND, NEIGHBOURS).rows
    directions = torch.from_numpy(spectral_directions(neighbour_graph(rows), K, seed))
    labels = kmeans(F.normalize(directions, dim=1), K, seed=seed, n_init=STARTS)[1]
    return joint_merit(neighbour_joint(labels, rows, K), power=1)


def scaled_rows(x_ND: Tensor) -> Tensor:
    """Rows without their mean, of mean length 1."""
    centred = x_ND.float() - x_ND.float().mean(dim=0)
    return centred / centred.norm(dim=1).mean().clamp(min=TINY)


def spread_of(x_ND: Tensor) -> Tensor:
    """The root mean square of the inner products of pairs of rows, above 0."""
    return (x_ND.T @ x_ND / len(x_ND)).norm().clamp(min=TINY)
