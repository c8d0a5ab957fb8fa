"""Proposals of labellings with K labels, merged from over-clustering heads, and the number of clusters found from them.

A head of K labels gets stuck with one class split and two merged, and gradient steps do not free it. Over-clustering heads do not
get stuck in this way.

Axes: N items, K labels, k neighbours.
"""

from __future__ import annotations

from torch import Tensor

from selflabel.assignment.merging import choose_n_clusters, merge_down, merge_labels
from selflabel.assignment.merit import neighbour_joint


def proposals(fine_labels: list[Tensor], neighbours_Nk: Tensor, sizes: list[int], K: int) -> list[tuple[float, Tensor]]:
    """Labellings with K labels, one from each over-clustering head, the best first.

    Args:
        fine_labels: (N,) int64 labels of each over-clustering head.
        neighbours_Nk: (N, k) int64 rows.
        sizes: labels of each of these heads.
        K: labels to merge down to.

    Returns:
        (merit in nats, (N,) labels) of each.
    """
    merged_labels = [merge_labels(labels, neighbours_Nk, size, K) for labels, size in zip(fine_labels, sizes)]
    return sorted(merged_labels, key=lambda pair: -pair[0])


def find_n_clusters(fine_labels: list[Tensor], neighbours_Nk: Tensor, sizes: list[int], default: int) -> int:
    """K where merging the over-clustering heads starts to cost information.

    Args:
        fine_labels, neighbours_Nk, sizes: as in `proposals`.
        default: K where there are no such heads.
    """
    joints = [neighbour_joint(labels, neighbours_Nk, size) for labels, size in zip(fine_labels, sizes)]
    losses = [merge_down(joint, 1)[1] for joint in joints]
    return choose_n_clusters(losses) if losses else default


def swaps(merits: list[float], proposed: list[tuple[float, Tensor]]) -> list[tuple[int, float, Tensor]]:
    """The heads that take a proposal: the worst head the best proposal, and so on, where it is better than the head.

    Args:
        merits: merit of each head of K labels.
        proposed: from `proposals`.

    Returns:
        (head, merit, labels) of each swap.
    """
    worst_first = sorted(range(len(merits)), key=lambda h: merits[h])
    return [(h, merit, labels) for (merit, labels), h in zip(proposed, worst_first) if merit > merits[h]]
