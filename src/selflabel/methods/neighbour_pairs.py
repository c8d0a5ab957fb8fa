"""Pairs of an item and one of its nearest neighbours, which SCAN and TEMI learn from.

Axes: N items, D features, k neighbours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.assignment.neighbours import nearest
from selflabel.contract import shuffled_rows


def empty_neighbours(n_items: int, neighbours: int) -> Tensor:
    """(N, k) int32 zeros, where the rows of neighbours will be; k is `neighbours`, at most a tenth of the items."""
    return torch.zeros(n_items, min(neighbours, max(1, n_items // 10)), dtype=torch.int32)


def find_neighbours(features_ND: Tensor, neighbours_Nk: Tensor, groups_N: Tensor | None = None) -> Tensor:
    """(N, k) rows of the nearest neighbours of every item, of the shape, type and device of `neighbours_Nk`.

    groups_N: as in `Data.groups_N`.
    """
    return nearest(features_ND, neighbours_Nk.shape[1], groups_N=groups_N).rows.to(neighbours_Nk)


def draw_pairs(neighbours_Nk: Tensor, generator: torch.Generator, passes: int = 1) -> Tensor:
    """(M, 2) pairs: every item and one of its neighbours at random.

    Args:
        neighbours_Nk: (N, k) rows of neighbours.
        generator: random numbers of the order of the items, and of the choice of neighbours.
        passes: passes over the items.
    """
    rows = torch.cat([shuffled_rows(len(neighbours_Nk), generator) for _ in range(passes)])[:, 0]
    columns = torch.randint(neighbours_Nk.shape[1], (len(rows),), generator=generator)
    return torch.stack([rows, neighbours_Nk.cpu()[rows, columns].long()], dim=1)
