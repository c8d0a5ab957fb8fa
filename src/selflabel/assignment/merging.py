"""Merge a fine labelling into a coarse one, and choose how far to merge.

The two labels to merge are those that lose least of the mutual information between the labels of neighbours (`assignment.merit`):
the agglomerative information bottleneck (Slonim & Tishby, 1999), symmetric in the two sides. Tables `joint` are (K, K) float64
shares of (label of an item, label of its neighbour), from `merit.neighbour_joint`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.assignment.merit import neighbour_joint, neighbour_merit, x_log_x

MIN_COST = 0.1  # cost of a merge below which merges count as free; that of two separate labels is 2 ln 2


def merge_labels(labels_N: Tensor, neighbours_Nk: Tensor, n_fine: int, K: int) -> tuple[float, Tensor]:
    """Merge a fine labelling down to K labels by its items' neighbours.

    Args:
        labels_N: (N,) int64, 0 to n_fine - 1.
        neighbours_Nk: (N, k) int64 rows of the neighbours.
        n_fine: number of fine labels.
        K: number of labels to merge to.

    Returns:
        The merit of the merged labelling in nats (`merit.neighbour_merit`), and its labels (N,) int64.
    """
    mapping = merge_down(neighbour_joint(labels_N, neighbours_Nk, n_fine), K)[0].to(labels_N.device)
    labels = mapping[labels_N]
    return neighbour_merit(labels, neighbours_Nk, K), labels


def merge_down(joint: Tensor, K: int) -> tuple[Tensor, list[float]]:
    """Merge labels two by two, each time at the least loss, until K are left. Costs F^3 operations and F^2 memory.

    Args:
        joint: (F, F) from `merit.neighbour_joint`.
        K: labels to keep.

    Returns:
        The new label of each old one, (F,) int64, and the loss of every merge in nats, first merge first.

    Example:
        >>> joint = torch.tensor([[0.2, 0.1, 0.0], [0.1, 0.2, 0.0], [0.0, 0.0, 0.4]]).double()
        >>> merge_down(joint, 2)[0].tolist()
        [0, 0, 1]
    """
    joint, sums = joint.clone(), paired_sums(joint)
    mapping = torch.arange(len(joint))
    lost = []
    while len(joint) > K:
        losses = merge_losses(joint, sums)
        a, b = sorted(divmod(int(losses.argmin()), len(joint)))
        lost.append(float(losses[a, b]))
        joint, sums = merge_pair(joint, sums, a, b)
        mapping[mapping == b] = a
        mapping[mapping > b] -= 1
    return mapping, lost


def merge_losses(joint: Tensor, sums: Tensor) -> Tensor:
    """The mutual information that each merge would lose.

    Rows and columns a and b change together, so the four entries among a and b are counted apart from the rest of the two rows.

    Args:
        joint: (K, K).
        sums: (K, K) from `paired_sums(joint)`.

    Returns:
        (K, K) nats lost if labels a and b became one; infinite on the diagonal.
    """
    p, own, f = joint.sum(dim=0), joint.diagonal(), x_log_x(joint)
    rows, inner = f.sum(dim=1), f.diagonal()
    inner_before = inner[:, None] + inner[None, :] + 2 * f
    outer_before = rows[:, None] + rows[None, :] - inner_before
    outer_after = sums - x_log_x(own[:, None] + joint) - x_log_x(joint + own[None, :])
    inner_after = x_log_x(own[:, None] + own[None, :] + 2 * joint)
    lost_by_joint = 2 * (outer_before - outer_after) + inner_before - inner_after
    lost_by_marginals = 2 * (x_log_x(p)[:, None] + x_log_x(p)[None, :] - x_log_x(p[:, None] + p[None, :]))
    return (lost_by_joint - lost_by_marginals).fill_diagonal_(torch.inf)


def paired_sums(joint: Tensor) -> Tensor:
    """(K, K) entries sum_c f(J_ac + J_bc), f(x) = x log x, added up column by column so that memory stays K x K."""
    total = torch.zeros_like(joint)
    for column in joint.T:
        total += x_log_x(column[:, None] + column[None, :])
    return total


def merge_pair(joint: Tensor, sums: Tensor, a: int, b: int) -> tuple[Tensor, Tensor]:
    """The table and its paired sums after label b has become label a."""

    def column_sums(x: Tensor) -> Tensor:
        return x_log_x(x[:, None] + x[None, :])

    sums = sums - column_sums(joint[:, a]) - column_sums(joint[:, b]) + column_sums(joint[:, a] + joint[:, b])
    joint = joint.clone()
    joint[a] += joint[b]
    joint[:, a] += joint[:, b]
    keep = [i for i in range(len(joint)) if i != b]
    joint, sums = joint[keep][:, keep], sums[keep][:, keep]
    row = x_log_x(joint + joint[a][None, :]).sum(dim=1)
    sums[a], sums[:, a] = row, row
    return joint, sums


def choose_n_clusters(losses: list[list[float]], window: int = 3) -> int:
    """The number of clusters at which merging begins to cost.

    A merge of two equal, separate labels among k costs 2 ln 2 / k, so losses are multiplied by k to be compared. The chosen K has
    the largest drop between the mean log-loss of the merges that start from K, K - 1, K - 2 labels and of those that start from
    K + 1, K + 2, K + 3; heads are averaged.

    Args:
        losses: for each over-clustering head, the losses of merging it down to one label (from `merge_down`).
        window: merges on each side that are averaged.

    Returns:
        K, at least 2.
    """
    limit = min(len(x) for x in losses) // 2
    costs = [[max(MIN_COST, x[-i] * (i + 1)) for i in range(1, limit + 1)] for x in losses]  # from i + 1 labels to i
    logs = torch.tensor(costs).log().mean(dim=0)
    drops = [float(logs[max(0, k - 1 - window) : k - 1].mean() - logs[k - 1 : k - 1 + window].mean()) for k in range(2, limit)]
    return max(range(len(drops)), key=lambda i: drops[i]) + 2 if drops else 2
