"""Marginals: the target shares of the labels, (K,) float64, positive, summing to 1."""

from __future__ import annotations

import torch
from torch import Tensor

from selflabel.assignment.scores import Scores
from selflabel.assignment.sinkhorn import soft_masses

# the names that `target_shares` knows, and the cluster sizes that they mean
TITLES = {"uniform": "equal", "gaussian": "Gaussian around equal", "zipf": "Zipf, 1 / rank", "estimated": "estimated"}


def uniform(K: int) -> Tensor:
    """Equal shares (K,): SeLa's equipartition."""
    return torch.full((K,), 1 / K, dtype=torch.float64)


def gaussian(K: int, generator: torch.Generator, sd: float = 0.1) -> Tensor:
    """Shares (K,) proportional to 1 + sd * normal, but at least 0.1, before they are scaled to sum to 1 (SeLaVi, section 3.2)."""
    sizes = (1 + sd * torch.randn(K, generator=generator, dtype=torch.float64)).clamp(min=0.1)
    return sizes / sizes.sum()


def zipf(K: int, power: float = 1.0) -> Tensor:
    """Shares (K,) proportional to rank ** -power, largest first."""
    sizes = torch.arange(1, K + 1, dtype=torch.float64) ** -power
    return sizes / sizes.sum()


def empirical_shares(labels: Tensor, K: int, prior: float = 1.0) -> Tensor:
    """The shares that labels have.

    Args:
        labels: (N,) int64.
        K: number of labels.
        prior: items added to each label, so that none is zero.

    Returns:
        (K,) float64.
    """
    counts = torch.bincount(labels, minlength=K).double() + prior
    return counts / counts.sum()


def shares_by_name(name: str, K: int, seed: int = 0) -> Tensor:
    """Shares (K,) in no particular order; `assign_by_rank` decides which label gets which.

    Args:
        name: "uniform", "gaussian" or "zipf".
        K: number of labels.
        seed: of the Gaussian shares.

    Raises:
        ValueError: another name.
    """
    if name == "uniform":
        return uniform(K)
    if name == "gaussian":
        return gaussian(K, torch.Generator().manual_seed(seed))
    if name == "zipf":
        return zipf(K)
    raise ValueError(f"shares are called uniform, gaussian or zipf, not {name!r}.")


def assign_by_rank(shares: Tensor, current: Tensor) -> Tensor:
    """Shares assigned to labels by rank of their current mass: the label with the largest mass gets the largest share.

    Args:
        shares: (K,) target shares, in any order.
        current: (K,) masses of the labels, for example from `soft_masses`.

    Returns:
        (K,) the shares, one for each label.

    Example:
        >>> assign_by_rank(torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.1, 0.2, 0.7])).tolist()
        [0.25, 0.25, 0.5]
    """
    result = torch.empty_like(shares)
    result[current.argsort()] = shares.sort().values
    return result


matched = assign_by_rank  # its name in version 0.1.0; docs/solver.md named it


def target_shares(name: str, scores: Scores, epsilon: float, seed: int = 0) -> Tensor:
    """Target shares by name, assigned to the labels of these scores by rank of their current mass.

    Args:
        name: "uniform", "gaussian", "zipf" or "estimated". Estimated shares are halfway from equal to the current masses: so none
            falls below half an equal share, however often it is estimated from labels that were solved with it.
        scores: N x K.
        epsilon: temperature, in the units of the scores.
        seed: of the Gaussian shares.

    Returns:
        (K,) float64.
    """
    K = scores.shape[1]
    if name == "uniform":
        return uniform(K)
    current = soft_masses(scores, epsilon)
    return (uniform(K) + current) / 2 if name == "estimated" else assign_by_rank(shares_by_name(name, K, seed), current)


def unevenness(shares: Tensor) -> float:
    """How far positive shares (K,) are from equal: KL(shares || uniform) in nats, about half their squared relative spread.

    Example:
        >>> unevenness(uniform(10)), round(unevenness(torch.tensor([0.55, 0.45])), 3)
        (0.0, 0.005)
    """
    return max(0.0, float((shares * (shares * len(shares)).log()).sum()))
