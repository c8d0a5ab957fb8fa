"""What can be said of a labelling without truth: agreement of heads, stability under views, confidence, and from them
one estimated accuracy with its band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from selflabel.evaluation.metrics import accuracy, mean_pairwise_nmi

BINS = 20


@dataclass(frozen=True)
class Signs:
    """The label-free signs, each in [0, 1].

    agreement: mean NMI over pairs of heads. support: mean share of items on which the other heads, matched one-to-one,
    agree with the reported one. stability: share of items that keep their label under a random view. neighbours: share
    of nearest neighbours with the same label. confidence: mean probability of the given label.
    """

    agreement: float
    support: float
    stability: float
    neighbours: float
    confidence: float


def signs_of(heads: list[np.ndarray], head: int, shown: np.ndarray, neighbours: np.ndarray, confidence: np.ndarray) -> Signs:
    """Read the signs off.

    Args:
        heads: labels (N,) of every head of the same K; `head` is the reported one.
        shown: (N,) labels that the reported head gives to random views.
        neighbours: (N, k) rows.
        confidence: (N,) in [0, 1].
    """
    mine = heads[head]
    others = [accuracy(mine, labels) for h, labels in enumerate(heads) if h != head]
    return Signs(
        agreement=mean_pairwise_nmi(heads) if len(heads) > 1 else 1.0,
        support=float(np.mean(others)) if others else 1.0,
        stability=float((mine == shown).mean()),
        neighbours=float((mine[neighbours] == mine[:, None]).mean()),
        confidence=float(np.mean(confidence)),
    )


def histogram(confidence: np.ndarray) -> list[int]:
    """Counts of the confidences in 20 equal bins of [0, 1]."""
    return np.histogram(np.clip(confidence, 0, 1), bins=BINS, range=(0, 1))[0].tolist()


# How the signs make an accuracy, and bands that held 90 % of the default runs on sets left out: all from reproduce/estimate.py.
POWERS = (0.42, 1.89)  # of support and stability
CONSTANTS = (0.62, 2.265)  # of want of support and of confidence squared
BAND = 0.1


def by_views(signs: Signs, powers: np.ndarray) -> float:
    """The accuracy estimated where items were shown changed, 0 to 1: powers of support and of stability, multiplied.

    Heads that disagree say that classes are split or merged somewhere. Labels that change with the view were learned by heart.
    """
    return float(signs.support ** powers[0] * signs.stability ** powers[1])


def by_confidence(signs: Signs, constants: np.ndarray) -> float:
    """The accuracy estimated on given or frozen features, 0 to 1: less for want of support, and of confidence squared.

    Their views only lack some entries, which changes few labels, right or wrong; want of confidence says that items lie between
    labels.
    """
    return float(np.clip(1 - constants[0] * (1 - signs.support) - constants[1] * (1 - signs.confidence) ** 2, 0, 1))


def fitted(
    estimate: Callable[[Signs, np.ndarray], float],
    prior: tuple[float, ...],
    signs: list[Signs],
    truth: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Non-negative constants of least mean absolute error on known accuracies, held near a prior because runs are few.

    estimate: `by_views` or `by_confidence`. weights: of the runs.
    """
    from scipy.optimize import minimize

    def error(c: np.ndarray) -> float:
        misses = np.abs(np.array([estimate(s, c) for s in signs]) - truth)
        held = 0.002 * np.square(c - np.array(prior)).sum() + 0.05 * np.square(np.minimum(c, 0)).sum()
        return float(np.average(misses, weights=weights) + held)

    return minimize(error, np.array(prior), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-4, "fatol": 1e-7}).x


def estimated_accuracy(signs: Signs, shown: bool) -> dict[str, float]:
    """One accuracy with its band, from the signs alone.

    shown: whether a network was shown items changed, so that stability tells; not where features were given or frozen.

    Example:
        >>> estimated_accuracy(Signs(agreement=1, support=1, stability=1, neighbours=1, confidence=1), shown=True)["value"]
        1.0
    """
    value = by_views(signs, np.array(POWERS)) if shown else by_confidence(signs, np.array(CONSTANTS))
    return {"value": round(value, 4), "low": round(max(0.0, value - BAND), 4), "high": round(min(1.0, value + BAND), 4)}
