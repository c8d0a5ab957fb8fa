"""How much mass each label may have: shares (K,) float64, positive, summing to 1."""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.assignment.scores import Scores
from selflabel.assignment.sinkhorn import soft_masses

TITLES = {
    "uniform": "uniform (equipartition)",
    "gaussian": "Gaussian, standard deviation a tenth",
    "zipf": "Zipf, 1 / rank",
    "estimated": "estimated, halfway from equal to what labels take of themselves",
}


def uniform(K: int) -> Tensor:
    """Equal shares: SeLa's equipartition."""
    return torch.full((K,), 1 / K, dtype=torch.float64)


def gaussian(K: int, generator: torch.Generator, sd: float = 0.1) -> Tensor:
    """Shares (1 + sd * normal) / K, none below a tenth of the mean (SeLaVi, section 3.2)."""
    sizes = (1 + sd * torch.randn(K, generator=generator, dtype=torch.float64)).clamp(min=0.1)
    return sizes / sizes.sum()


def zipf(K: int, power: float = 1.0) -> Tensor:
    """Shares falling as rank ** -power."""
    sizes = torch.arange(1, K + 1, dtype=torch.float64) ** -power
    return sizes / sizes.sum()


def named(name: str, K: int, seed: int = 0) -> Tensor:
    """Shares called "uniform", "gaussian" or "zipf", in no order: `matched` deals them out."""
    if name == "uniform":
        return uniform(K)
    if name == "gaussian":
        return gaussian(K, torch.Generator().manual_seed(seed))
    if name == "zipf":
        return zipf(K)
    raise ValueError(f"shares are called uniform, gaussian or zipf, not {name!r}.")


def matched(shares: Tensor, current: Tensor) -> Tensor:
    """The shares dealt out by rank: the label that has most mass now may have most.

    Example:
        >>> matched(torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.1, 0.2, 0.7])).tolist()
        [0.25, 0.25, 0.5]
    """
    dealt = torch.empty_like(shares)
    dealt[current.argsort()] = shares.sort().values
    return dealt


def asked(name: str, scores: Scores, epsilon: float, seed: int = 0) -> Tensor:
    """Shares called `name`, dealt to the labels in the order of the mass that each has of itself.

    "estimated" is halfway from equal shares to those masses, so that none falls below half an equal share however often it is
    estimated from labels that were solved with it.
    """
    K = scores.shape[1]
    if name == "uniform":
        return uniform(K)
    own = soft_masses(scores, epsilon)
    return (uniform(K) + own) / 2 if name == "estimated" else matched(named(name, K, seed), own)


def estimated(labels: Tensor, K: int, prior: float = 1.0) -> Tensor:
    """The shares that labels have, with `prior` items added to each so that none is zero."""
    counts = torch.bincount(labels, minlength=K).double() + prior
    return counts / counts.sum()


def unevenness(shares: Tensor) -> float:
    """How far positive shares are from equal: KL(shares || uniform) in nats, about half their squared relative spread.

    Example:
        >>> unevenness(uniform(10)), round(unevenness(torch.tensor([0.55, 0.45])), 3)
        (0.0, 0.005)
    """
    return max(0.0, float((shares * (shares * len(shares)).log()).sum()))
