"""How to merge a fine labelling into a coarse one, and where to stop.

The mutual information between the labels of neighbours (`assignment.merit`) says which two labels to merge at least loss: the
agglomerative information bottleneck (Slonim & Tishby, 1999), symmetric in the two sides.
"""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.assignment.merit import neighbour_joint, neighbour_merit, x_log_x

LEAST_COST = 0.1  # of a merge, where 2 ln 2 is that of two separate labels: below it all merges are free


def merged(labels_N: Tensor, neighbours_Nk: Tensor, fine: int, K: int) -> tuple[float, Tensor]:
    """(merit, labels) of a labelling into `fine` labels that is merged down to K, by items' neighbours."""
    mapping = merge_down(neighbour_joint(labels_N, neighbours_Nk, fine), K)[0].to(labels_N.device)
    labels = mapping[labels_N]
    return neighbour_merit(labels, neighbours_Nk, K), labels


def paired_sums(joint: Tensor) -> Tensor:
    """(K, K) entries sum_c f(J_ac + J_bc), f(x) = x log x, built a column at a time so that memory stays K x K."""
    total = torch.zeros_like(joint)
    for column in joint.T:
        total += x_log_x(column[:, None] + column[None, :])
    return total


def merge_losses(joint: Tensor, sums: Tensor) -> Tensor:
    """(K, K) nats of mutual information lost if labels a and b became one; infinite on the diagonal.

    `sums` is `paired_sums(joint)`. Rows and columns a and b change together, so the four entries among a and b are
    counted apart from the rest of the two rows.
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


def merge_down(joint: Tensor, K: int) -> tuple[Tensor, list[float]]:
    """Merge labels two by two, each time at least loss, until K are left. Costs F^3 operations and F^2 memory.

    Args:
        joint: (F, F) from `merit.neighbour_joint`.
        K: labels to keep.

    Returns:
        ((F,) int64 new label of each old one, the loss of every merge in nats, first merge first).

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
        joint, sums = merged_pair(joint, sums, a, b)
        mapping[mapping == b] = a
        mapping[mapping > b] -= 1
    return mapping, lost


def merged_pair(joint: Tensor, sums: Tensor, a: int, b: int) -> tuple[Tensor, Tensor]:
    """The table and its paired sums after label b has become label a."""

    def of_column(x: Tensor) -> Tensor:
        return x_log_x(x[:, None] + x[None, :])

    sums = sums - of_column(joint[:, a]) - of_column(joint[:, b]) + of_column(joint[:, a] + joint[:, b])
    joint = joint.clone()
    joint[a] += joint[b]
    joint[:, a] += joint[:, b]
    keep = [i for i in range(len(joint)) if i != b]
    joint, sums = joint[keep][:, keep], sums[keep][:, keep]
    row = x_log_x(joint + joint[a][None, :]).sum(dim=1)
    sums[a], sums[:, a] = row, row
    return joint, sums


def where_merging_costs(losses: list[list[float]], window: int = 3) -> int:
    """K from the losses of merging down to one label, a list an over-clustering head: where merging begins to cost.

    A merge of two equal, separate labels among k costs 2 ln 2 / k, so losses are multiplied by k to be compared. The chosen K has
    the largest drop between the mean log-loss of the merges that start from K, K - 1, K - 2 labels and of those that start from
    K + 1, K + 2, K + 3; heads are averaged.
    """
    most = min(len(x) for x in losses) // 2
    costs = [[max(LEAST_COST, x[-i] * (i + 1)) for i in range(1, most + 1)] for x in losses]  # from i + 1 labels to i
    logs = torch.tensor(costs).log().mean(dim=0)
    drops = [float(logs[max(0, k - 1 - window) : k - 1].mean() - logs[k - 1 : k - 1 + window].mean()) for k in range(2, most)]
    return max(range(len(drops)), key=lambda i: drops[i]) + 2 if drops else 2
