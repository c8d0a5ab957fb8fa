"""How good a labelling is without truth, and how to merge a fine one into a coarse one.

Neighbours mostly share a class. So a labelling is judged by the mutual information between an item's label and the
label of its neighbour (the quantity IIC maximises over augmented pairs; Ji et al., 2019): merged classes lose entropy,
split ones lose agreement, and neither pays. The same quantity says which two labels to merge at least loss: the
agglomerative information bottleneck (Slonim & Tishby, 1999), symmetric in the two sides.

Mutual information is H(label) - H(label | neighbour's label), so among labellings that neighbours support equally it
prefers the one of equal sizes. Real classes are not equal in size. The merit is therefore the information times the
square of the share of the label entropy that it explains: I (I / H)^2. It is nought for a collapse. Between items that are many
neighbours apart (`neighbours.walked`) the halves of a class that was cut in two tell little of themselves, and the share itself
is enough: I (I / H). There finished heads are judged by their posteriors, since a cut that no class asks for leaves items unsure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IN_USE = 0.1  # of an equal share of the items
TEMI_EXPONENT, LEAST, BLOCK = 0.6, 1e-9, 65_536
LEAST_COST = 0.1  # of a merge, where 2 ln 2 is that of two separate labels: below it all merges are free


def neighbour_joint(labels: Tensor, neighbours_Nk: Tensor, K: int) -> Tensor:
    """(K, K) symmetric shares of (label of an item, label of its neighbour), float64."""
    pairs = labels[:, None] * K + labels[neighbours_Nk]
    counts = torch.bincount(pairs.reshape(-1), minlength=K * K).cpu().double().view(K, K)
    counts = counts + counts.T
    return counts / counts.sum()


def mutual_information(joint: Tensor) -> float:
    """In nats, of a (K, K) table of shares.

    Example:
        >>> round(mutual_information(torch.eye(4).double() / 4), 4)  # ln 4
        1.3863
    """
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    return float((x_log_x(joint).sum() - x_log_x(rows).sum() - x_log_x(columns).sum()).clamp(min=0))


def merit_of(joint: Tensor, power: int = 2) -> float:
    """I (I / H)^power in nats, of a symmetric (K, K) table of shares: I its mutual information, H the entropy of its labels."""
    information, entropy = mutual_information(joint), -float(x_log_x(joint.sum(dim=0)).sum())
    return information * (information / entropy) ** power if entropy > 0 else 0.0


def neighbour_merit(labels: Tensor, neighbours_Nk: Tensor, K: int) -> float:
    """The label-free merit of a labelling, in nats: higher is better, among labellings of one set into K.

    Weighted by the share of the K labels that are in use, or few clean labels would beat the many that were asked for.
    """
    used = (torch.bincount(labels, minlength=K) >= IN_USE * len(labels) / K).float().mean()
    return merit_of(neighbour_joint(labels, neighbours_Nk, K)) * float(used)


def posterior_merit(posteriors_NK: Tensor, rows_Nk: Tensor) -> float:
    """The label-free merit I (I / H) of a finished head, in nats, from its posteriors and those of the items `rows_Nk` (int32, on
    the same device), each to the power of 2: what is said at random says nothing, what is nearly sure counts as sure.

    Example:
        >>> sure = torch.eye(2).repeat(8, 1)
        >>> same = (torch.arange(16)[:, None] + 2) % 16  # each looks at one of its own label
        >>> round(posterior_merit(sure, same.int()), 4), round(posterior_merit(torch.full((16, 2), 0.5), same.int()), 4)
        (0.6931, 0.0)
    """
    sharp_NK = F.normalize(posteriors_NK.float() ** 2, p=1, dim=1)
    joint = sharp_NK.T.double() @ F.embedding_bag(rows_Nk, sharp_NK, mode="mean").double() / len(sharp_NK)
    return merit_of((joint + joint.T).cpu() / 2, power=1)


def pointwise_information(posteriors_NK: Tensor, rows_Nk: Tensor) -> float:
    """How well a finished head of equal labels tells items from others by their labels, in nats: the pointwise mutual information
    of an item and each of the items `rows_Nk`, with TEMI's exponent and weights (Adaloglou et al., 2023, sections 3.1 and 3.2).
    It divides by the labels' shares, so that labels must be of about one size to be compared by it. Posteriors are sharpened as
    in `posterior_merit`, of which this is the finer among equal labels.

    Example:
        >>> sure = torch.eye(2).repeat(8, 1)
        >>> same = (torch.arange(16)[:, None] + 2) % 16
        >>> round(pointwise_information(sure, same.int()), 4), round(pointwise_information(sure.flip(1), same.int()), 4)
        (0.6931, 0.6931)
    """
    sharp_NK, total = F.normalize(posteriors_NK.float() ** 2, p=1, dim=1), 0.0
    shares_K = sharp_NK.mean(dim=0).clamp(min=LEAST)
    for near_Nk, own_NK in zip(rows_Nk.split(BLOCK), sharp_NK.split(BLOCK)):
        for near_N in near_Nk.T.long():
            joint_NK = own_NK * sharp_NK[near_N]
            told_N = (joint_NK**TEMI_EXPONENT / shares_K).sum(dim=1).clamp(min=LEAST).log()
            total += float((joint_NK.sum(dim=1) * told_N).double().sum())
    return total / rows_Nk.numel()


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
        joint: (F, F) from `neighbour_joint`.
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


def x_log_x(x: Tensor) -> Tensor:
    return torch.special.xlogy(x, x)


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
