"""Items that fit no cluster: how unlike the rest of its set each item is, without labels, and which of them a share leaves out.

A set's own kinds of item are about as dense as each other at every scale. What fits none of them lies apart (single photos of
other classes, noise), is too far from most of the set or too alike (a group of another kind), or has much of its length outside
the directions in which the set varies (noise in features). Each of these is measured on a logarithmic scale in robust standard
deviations of the set; half the sum of their squares is a negative log-likelihood. The numbers behind the weights are in
docs/decisions/outliers.md.

Axes: N items, D features, M reference items, K labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment.neighbours import blockwise_mean, leading_directions, nearest
from selflabel.assignment.sinkhorn import sinkhorn
from selflabel.base.sampling import drawn_rows

NEIGHBOUR = 20  # the neighbour whose distance says how far apart an item lies
REFERENCES = 4096  # items, drawn at random, that far distances are measured to
HALF, BEYOND = 0.5, 1.5  # of the expected share of outliers: within a group of such, and beyond it
DIRECTIONS = 128  # that the set varies in, at most
TOO_ALIKE = 1.0  # robust deviations below the median from which on distances count as small
SPARSE, FAR, ALIKE, OUTSIDE = 2.0, 1.0, 1.5, 0.5  # weights
BLOCK_ROWS = 1024
USUAL_SHARE = 0.1  # of outliers, where it is to be found
LEAST_LOG_ODDS = 8.0  # from which on an item counts as an outlier where their share is to be found
MAX_SHARE = 0.5
EPSILON = 0.05


def atypicality(features_ND: Tensor, share: float = USUAL_SHARE) -> Tensor:
    """How unlike the rest of the set each item is, on the scale of log-posteriors: half a sum of squared robust deviations.

    Args:
        features_ND: (N, D) floats.
        share: of outliers that is expected, above 0 and below 0.5; it sets the scale of groups that are looked for.

    Returns:
        (N,) float32 on the CPU, 0 or more.

    Example:
        >>> x = torch.cat([torch.randn(200, 8, generator=torch.Generator().manual_seed(0)) + 5, -5 * torch.ones(1, 8)])
        >>> int(atypicality(x).argmax())
        200
    """
    x = features_ND.detach().float().cpu()
    if len(x) < 3:
        return torch.zeros(len(x))
    centred = x - blockwise_mean(x)
    plain, around_mean = F.normalize(x, dim=1), F.normalize(centred, dim=1)
    rows = nearest(x, NEIGHBOUR).rows
    half, beyond = reference_distances(plain, share)
    far = reference_distances(around_mean, share)[1]
    terms = [SPARSE * excess(furthest(z, rows)).square() for z in (plain, around_mean)]
    terms += [FAR * excess(d).square() for d in (beyond, far)]
    terms += [ALIKE * (excess(half, -1) - TOO_ALIKE).clamp(min=0).square(), OUTSIDE * excess(share_outside(centred)).square()]
    total = torch.stack(terms).sum(dim=0)
    return (total + total[rows[:, : NEIGHBOUR // 2]].mean(dim=1)) / 4  # half its own, half its neighbours'


def excess(values: Tensor, sign: int = 1) -> Tensor:
    """How many robust standard deviations the logarithm of each value (N,) lies above the set's median (sign -1: below), or 0."""
    logs = (values + 1e-6).log()
    middle = logs.median()
    spread = 1.4826 * (logs - middle).abs().median() + 1e-6
    return (sign * (logs - middle) / spread).clamp(min=0)


def furthest(x_ND: Tensor, rows: Tensor) -> Tensor:
    """(N,) distance of each item to the furthest of its neighbours (N, k)."""
    parts = zip(x_ND.split(BLOCK_ROWS), rows.split(BLOCK_ROWS))
    return torch.cat([(x_ND[near] - block[:, None]).norm(dim=2).amax(dim=1) for block, near in parts])


def reference_distances(x_ND: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """(N,) distances within which an item has half the expected share of the set, and one and a half times that share."""
    reference = x_ND[drawn_rows(len(x_ND), REFERENCES)]
    ranks = [min(len(reference), max(1, round(factor * share * len(reference))) + 1) for factor in (HALF, BEYOND)]
    parts = []
    for block in x_ND.split(BLOCK_ROWS):
        near = torch.cdist(block, reference).topk(ranks[1], dim=1, largest=False).values
        parts.append(near[:, [rank - 1 for rank in ranks]])
    half, beyond = torch.cat(parts).T
    return half, beyond


def share_outside(centred_ND: Tensor) -> Tensor:
    """(N,) share of each row's length outside the leading directions of the set, 0 to 1."""
    count = max(1, min(DIRECTIONS, min(centred_ND.shape) // 2))
    basis = leading_directions(centred_ND[drawn_rows(len(centred_ND), REFERENCES)], count)
    inside = torch.cat([(block @ basis).square().sum(dim=1) for block in centred_ND.split(BLOCK_ROWS)])
    length = centred_ND.square().sum(dim=1)
    return ((length - inside).clamp(min=0) / length.clamp(min=1e-12)).sqrt()


def outlier_share(atypicality_N: Tensor) -> float:
    """The share of outliers where it was left open: of the items above LEAST_LOG_ODDS, at most half."""
    return min(MAX_SHARE, float((atypicality_N > LEAST_LOG_ODDS).float().mean()))


def fitting_nothing(log_posteriors_NK: Tensor, atypicality_N: Tensor, share: float) -> Tensor:
    """Which items fit no cluster, by partial transport: a dummy column takes exactly this share of the mass, all labels are free.

    Args:
        log_posteriors_NK: (N, K) of the labels.
        atypicality_N: (N,) from `atypicality`: the dummy's scores.
        share: of the items, 0 to 0.5.

    Returns:
        (N,) bool on the CPU, true for the nearest whole number of items.
    """
    count = round(share * len(atypicality_N))
    if count == 0:
        return torch.zeros(len(atypicality_N), dtype=torch.bool)
    scores = log_posteriors_NK.float()
    dummy = atypicality_N.to(scores)
    solution = sinkhorn(scores, EPSILON, relax=1.0, dummy=dummy, dummy_mass=count / len(dummy), tol=1e-3)
    potential = solution.potentials[-1].to(scores)
    margin = dummy + potential - scores.amax(dim=1)
    is_out = torch.zeros(len(dummy), dtype=torch.bool)
    is_out[margin.topk(count).indices.cpu()] = True  # the soft masses are exact; of labels at the border the best are taken
    return is_out
