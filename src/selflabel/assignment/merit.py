"""HOW GOOD A LABELLING IS WITHOUT TRUTH, and which of several finished heads is reported.

Neighbours mostly share a class. So a labelling is judged by the mutual information between an item's label and the
label of its neighbour (the quantity IIC maximises over augmented pairs; Ji et al., 2019): merged classes lose entropy,
split ones lose agreement, and neither pays.

Mutual information is H(label) - H(label | neighbour's label), so among labellings that neighbours support equally it
prefers the one of equal sizes. Real classes are not equal in size. The merit is therefore the information times the
square of the share of the label entropy that it explains: I (I / H)^2. It is nought for a collapse. Between items that are many
neighbours apart (`neighbours.walked`) the halves of a class that was cut in two tell little of themselves, and the share itself
is enough: I (I / H). There finished heads are judged by their posteriors, since a cut that no class asks for leaves items unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment import marginals

IN_USE = 0.1  # of an equal share of the items
TEMI_EXPONENT, LEAST, BLOCK = 0.6, 1e-9, 65_536
PAIRS = 5  # ends of walks an item that its pointwise information is reckoned from
LOOSENED = 0.9  # what the merit of a head counts whose loosened masses came out unequal: who claims so has to show more
UNEQUAL = 0.005  # the divergence of its sizes from equal ones, in nats, from which on it counts so: a tenth up or down


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


@dataclass(frozen=True)
class Judged:
    """A finished head. merit (`posterior_merit`), pointwise (`pointwise_information`) and uneven, how far the sizes of its labels
    are from equal (`marginals.unevenness`), in nats; labels: how many it uses; loosened: its masses were not fixed.
    """

    merit: float
    pointwise: float
    uneven: float
    labels: int
    loosened: bool


def judged(posteriors_NK: Tensor, ends_Nk: Tensor, labels_N: Tensor, loosened: bool) -> Judged:
    """A head by its posteriors, the items where walks from each item end (int32, on the same device), and its labels."""
    merit, pointwise = posterior_merit(posteriors_NK, ends_Nk), pointwise_information(posteriors_NK, ends_Nk[:, :PAIRS])
    uneven = marginals.unevenness(marginals.estimated(labels_N, posteriors_NK.shape[1]))
    return Judged(merit, pointwise, uneven, len(labels_N.unique()), loosened)


def best_head(heads: Sequence[Judged], fewest: int = 0) -> int:
    """Of the heads that use at least `fewest` labels, or of all if none does: of those of fixed masses that of most pointwise
    information, of those of loosened masses that of the highest merit; of these two the one of higher merit, where a loosened
    one counts for less as far as its sizes are uneven.

    Example:
        >>> equal, loosened = Judged(1.0, 1.0, 0.0, 2, loosened=False), Judged(1.05, 1.0, 0.2, 2, loosened=True)
        >>> best_head([equal, loosened]), best_head([equal, Judged(1.2, 1.0, 0.2, 2, loosened=True)])
        (0, 1)
    """
    whole = [h for h, head in enumerate(heads) if head.labels >= fewest] or range(len(heads))
    fixed, loosened = ([h for h in whole if heads[h].loosened == kind] for kind in (False, True))
    finalists = [max(fixed, key=lambda h: heads[h].pointwise)] if fixed else []
    finalists += [max(loosened, key=lambda h: heads[h].merit)] if loosened else []
    return max(finalists, key=lambda h: heads[h].merit * (discount(heads[h].uneven) if heads[h].loosened else 1.0))


def discount(uneven: float) -> float:
    """What the merit of a head of loosened masses counts.

    Example:
        >>> discount(0.0), round(discount(0.0025), 2), discount(0.2)
        (1.0, 0.95, 0.9)
    """
    return 1 - (1 - LOOSENED) * min(1.0, uneven / UNEQUAL)


def x_log_x(x: Tensor) -> Tensor:
    return torch.special.xlogy(x, x)
