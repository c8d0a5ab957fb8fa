"""How good a labelling is without truth, and which of several trained heads is reported.

Neighbours mostly share a class. So a labelling is scored by the mutual information I between an item's label and the label of its
neighbour (the quantity that IIC maximises over augmented pairs; Ji et al., 2019): merged classes lose entropy, split ones lose
agreement, and neither pays.

Mutual information is H(label) - H(label | neighbour's label), so among labellings that neighbours support equally it prefers
equal sizes. Real classes are not equal in size. The merit is therefore the information times the square of the share of the label
entropy H that it explains: I (I / H)^2. It is zero for a collapse.

Between items that are many neighbours apart (`neighbours.random_walk_ends`) the two halves of a split class tell little about
each other, and the share itself is enough: I (I / H). With such pairs trained heads are scored by their posteriors, since a split
that no class supports leaves items unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment.marginals import empirical_shares, unevenness
from selflabel.base.sampling import drawn_rows

MIN_SHARE = 0.1  # of an equal share of the items: a label with fewer is not in use
TEMI_EXPONENT = 0.6
MIN_PROBABILITY, BLOCK_ROWS = 1e-9, 16_384
MOST_ITEMS = 50_000  # whose pairs say how good a head is; of larger sets so many at random
POINTWISE_PAIRS = 5  # walk ends per item that its pointwise information is computed from
RELAXED_DISCOUNT = 0.9  # factor on the merit of heads with relaxed marginals and uneven sizes, which have to beat equal ones
UNEVEN = 0.005  # unevenness of sizes, in nats, from which on the discount is full: sizes about a tenth above or below equal


# ------------------------------------------------------------------------------------------------------- labellings


def neighbour_joint(labels: Tensor, neighbours_Nk: Tensor, K: int) -> Tensor:
    """The joint distribution of an item's label and its neighbour's.

    Args:
        labels: (N,) int64.
        neighbours_Nk: (N, k) integer rows of the neighbours, on the same device.
        K: number of labels.

    Returns:
        (K, K) float64 on the CPU, symmetric, summing to 1.
    """
    counts = torch.zeros(K * K, dtype=torch.int64, device=labels.device)
    for own, rows in zip(labels.split(BLOCK_ROWS), neighbours_Nk.split(BLOCK_ROWS)):
        counts += torch.bincount((own[:, None] * K + labels[rows.long()]).reshape(-1), minlength=K * K)
    counts = counts.cpu().double().view(K, K)
    counts = counts + counts.T
    return counts / counts.sum()


def mutual_information(joint: Tensor) -> float:
    """The mutual information, in nats, of a (K, K) joint distribution.

    Example:
        >>> round(mutual_information(torch.eye(4).double() / 4), 4)  # ln 4
        1.3863
    """
    rows, columns = joint.sum(dim=1, keepdim=True), joint.sum(dim=0, keepdim=True)
    return float((x_log_x(joint).sum() - x_log_x(rows).sum() - x_log_x(columns).sum()).clamp(min=0))


def joint_merit(joint: Tensor, power: int = 2) -> float:
    """I (I / H)^power in nats, of a symmetric (K, K) joint: I its mutual information, H the entropy of its labels."""
    information, entropy = mutual_information(joint), -float(x_log_x(joint.sum(dim=0)).sum())
    return information * (information / entropy) ** power if entropy > 0 else 0.0


def neighbour_merit(labels: Tensor, neighbours_Nk: Tensor, K: int) -> float:
    """The label-free merit of a labelling: higher is better, among labellings of one set into K.

    It is multiplied by the share of the K labels that are in use; otherwise few clean labels would beat the many that were
    requested.

    Args:
        labels: (N,) int64.
        neighbours_Nk: (N, k) int64 rows of the neighbours.
        K: number of labels.

    Returns:
        The merit in nats, at least 0.
    """
    used = (torch.bincount(labels, minlength=K) >= MIN_SHARE * len(labels) / K).float().mean()
    return joint_merit(neighbour_joint(labels, neighbours_Nk, K)) * float(used)


# ------------------------------------------------------------------------------------------------------------ heads


def posterior_merit(posteriors_NK: Tensor, rows_Nk: Tensor) -> float:
    """The label-free merit I (I / H) of a trained head, from the posteriors of paired items.

    Posteriors are squared and normalised again: a uniform one then counts for nothing, and a nearly sure one as sure.

    Args:
        posteriors_NK: (N, K) rows summing to 1.
        rows_Nk: (N, k) int32 rows of the items that each item is paired with, on the same device.

    Returns:
        The merit in nats, at least 0.

    Example:
        >>> sure = torch.eye(2).repeat(8, 1)
        >>> same = (torch.arange(16)[:, None] + 2) % 16  # each is paired with an item of its own label
        >>> round(posterior_merit(sure, same.int()), 4), round(posterior_merit(torch.full((16, 2), 0.5), same.int()), 4)
        (0.6931, 0.0)
    """
    sharp_NK = sharpened(posteriors_NK)
    own_NK, rows_Nk = scored_items(sharp_NK, rows_Nk)
    blocks = zip(own_NK.split(BLOCK_ROWS), rows_Nk.split(BLOCK_ROWS))
    sums = [own.T.double() @ F.embedding_bag(rows, sharp_NK, mode="mean").double() for own, rows in blocks]
    joint = torch.stack(sums).sum(dim=0) / len(own_NK)
    return joint_merit((joint + joint.T).cpu() / 2, power=1)


def sharpened(posteriors_NK: Tensor) -> Tensor:
    """(N, K) float32 posteriors, squared and normalised again."""
    sharp_NK = torch.empty(posteriors_NK.shape, device=posteriors_NK.device)
    for out, block in zip(sharp_NK.split(BLOCK_ROWS), posteriors_NK.split(BLOCK_ROWS)):
        out.copy_(F.normalize(block.float() ** 2, p=1, dim=1))
    return sharp_NK


def pointwise_information(posteriors_NK: Tensor, rows_Nk: Tensor) -> float:
    """How well a head of equal labels tells items apart: the pointwise mutual information of an item and those paired with it.

    It is computed with TEMI's exponent and weights. It divides by the labels' shares, so that labels must be of about one size to
    be compared by it. Posteriors are sharpened as in `posterior_merit`; among equal labels this is the finer measure.

    Args:
        posteriors_NK: (N, K) rows summing to 1.
        rows_Nk: (N, k) integer rows of the items that each item is paired with, on the same device.

    Returns:
        The information in nats, averaged over pairs.

    Example:
        >>> sure = torch.eye(2).repeat(8, 1)
        >>> same = (torch.arange(16)[:, None] + 2) % 16
        >>> round(pointwise_information(sure, same.int()), 4), round(pointwise_information(sure.flip(1), same.int()), 4)
        (0.6931, 0.6931)

    Source: TEMI (Adaloglou et al., 2023), sections 3.1 and 3.2.
    """
    sharp_NK, total = sharpened(posteriors_NK), 0.0
    shares_K = sharp_NK.mean(dim=0).clamp(min=MIN_PROBABILITY)
    scored_NK, rows_Nk = scored_items(sharp_NK, rows_Nk)
    for block_Nk, own_NK in zip(rows_Nk.split(BLOCK_ROWS), scored_NK.split(BLOCK_ROWS)):
        for paired_N in block_Nk.T.long():
            joint_NK = own_NK * sharp_NK[paired_N]
            information_N = (joint_NK**TEMI_EXPONENT / shares_K).sum(dim=1).clamp(min=MIN_PROBABILITY).log()
            total += float((joint_NK.sum(dim=1) * information_N).double().sum())
    return total / rows_Nk.numel()


def scored_items(sharp_NK: Tensor, rows_Nk: Tensor) -> tuple[Tensor, Tensor]:
    """The posteriors, and the rows of what each is paired with, of at most MOST_ITEMS items."""
    if len(sharp_NK) <= MOST_ITEMS:
        return sharp_NK, rows_Nk
    drawn = torch.from_numpy(drawn_rows(len(sharp_NK), MOST_ITEMS)).to(sharp_NK.device)
    return sharp_NK[drawn], rows_Nk[drawn.to(rows_Nk.device)]


@dataclass(frozen=True)
class HeadScore:
    """The label-free scores of a trained head.

    Attributes:
        merit: `posterior_merit`, in nats.
        pointwise: `pointwise_information`, in nats.
        unevenness: of the labels' sizes (`marginals.unevenness`), in nats.
        n_labels: how many labels it uses.
        relaxed: whether its marginals were relaxed while it was trained.
    """

    merit: float
    pointwise: float
    unevenness: float
    n_labels: int
    relaxed: bool


def score_head(posteriors_NK: Tensor, ends_Nk: Tensor, labels_N: Tensor, relaxed: bool) -> HeadScore:
    """Score a trained head without truth.

    Args:
        posteriors_NK: (N, K) rows summing to 1.
        ends_Nk: (N, k) int32 rows where random walks from each item end, on the same device.
        labels_N: (N,) int64, the head's labels.
        relaxed: whether its marginals were relaxed.
    """
    merit, pointwise = posterior_merit(posteriors_NK, ends_Nk), pointwise_information(posteriors_NK, ends_Nk[:, :POINTWISE_PAIRS])
    uneven = unevenness(empirical_shares(labels_N, posteriors_NK.shape[1]))
    return HeadScore(merit, pointwise, uneven, len(labels_N.unique()), relaxed)


def best_head(heads: Sequence[HeadScore], min_labels: int = 0) -> int:
    """The head to report.

    There are two finalists: of the heads with fixed marginals the one of most pointwise information, and of those with relaxed
    marginals the one of the highest merit. The finalist of higher merit wins, after `size_discount` for the relaxed one.

    Args:
        heads: the scores of all heads, at least one.
        min_labels: heads that use fewer labels are left out, unless all do.

    Returns:
        The index of the head.

    Example:
        >>> equal, uneven = HeadScore(1.0, 1.0, 0.0, 2, relaxed=False), HeadScore(1.05, 1.0, 0.2, 2, relaxed=True)
        >>> best_head([equal, uneven]), best_head([equal, HeadScore(1.2, 1.0, 0.2, 2, relaxed=True)])
        (0, 1)
    """
    eligible = [h for h, head in enumerate(heads) if head.n_labels >= min_labels] or range(len(heads))
    fixed, relaxed = ([h for h in eligible if heads[h].relaxed == kind] for kind in (False, True))
    finalists = [max(fixed, key=lambda h: heads[h].pointwise)] if fixed else []
    finalists += [max(relaxed, key=lambda h: heads[h].merit)] if relaxed else []
    return max(finalists, key=lambda h: heads[h].merit * (size_discount(heads[h].unevenness) if heads[h].relaxed else 1.0))


def size_discount(uneven: float) -> float:
    """The factor on the merit of a head with relaxed marginals whose sizes have this unevenness, in nats.

    Example:
        >>> size_discount(0.0), round(size_discount(0.0025), 2), size_discount(0.2)
        (1.0, 0.95, 0.9)
    """
    return 1 - (1 - RELAXED_DISCOUNT) * min(1.0, uneven / UNEVEN)


def x_log_x(x: Tensor) -> Tensor:
    """x log x of every entry, 0 where x is 0."""
    return torch.special.xlogy(x, x)
