"""Spectral clusterings of the densest items, whose labels the others take from near ones.

Items in sparse places are bridges: they make classes hang together that are apart elsewhere. A cut of the graph without them
often follows uneven classes better, as DBSCAN and HDBSCAN find clusters (Ester et al., 1996; Campello et al., 2013).

Axes: N items, M items of a part, D features, K labels, k neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.assignment.neighbours import exact_search, project
from selflabel.assignment.spectral import neighbour_graph, spectral_labels
from selflabel.base.sampling import drawn_rows

SHARES = (0.6, 0.75)  # of the items that are cut
NEIGHBOURS, DIMENSIONS = 10, 64  # of the graph, and principal directions that are compared
MOST_ITEMS = 10_000  # that are cut; of more items so many at random


def dense_labellings(x_ND: Tensor, K: int, seed: int) -> list[Tensor]:
    """Labellings whose cuts leave out the items that are far from their neighbours, one for each of `SHARES`.

    Args:
        x_ND: (N, D) features, on the CPU; N is at least 2 K.
        K: number of labels.
        seed: of the subspace iteration.

    Returns:
        (N,) int64 labels, 0 to K - 1, of each.
    """
    x_ND = project(x_ND, DIMENSIONS)
    sample_MD = x_ND[drawn_rows(len(x_ND), MOST_ITEMS)]
    order_M = closeness(sample_MD, others_among(sample_MD)).argsort(descending=True)
    return [labelled_by(x_ND, sample_MD[order_M[: max(2 * K, round(share * len(order_M)))]], K, seed) for share in SHARES]


def others_among(x_MD: Tensor) -> Tensor:
    """(M, k) rows of the nearest other items."""
    return exact_search(x_MD, x_MD, min(NEIGHBOURS, len(x_MD) - 1), exclude=torch.arange(len(x_MD)))


def closeness(x_MD: Tensor, rows_Mk: Tensor) -> Tensor:
    """(M,) similarity of each item to the last of its neighbours."""
    return (x_MD * x_MD[rows_Mk[:, -1]]).sum(dim=1)


def labelled_by(x_ND: Tensor, dense_MD: Tensor, K: int, seed: int) -> Tensor:
    """(N,) labels: the dense items are cut, and each item gets the label that most of the nearest dense ones have."""
    labels_M = spectral_labels(neighbour_graph(others_among(dense_MD)), K, seed)
    nearest_Nk = exact_search(x_ND, dense_MD, min(NEIGHBOURS, len(dense_MD)))
    return labels_M[nearest_Nk].mode(dim=1).values
