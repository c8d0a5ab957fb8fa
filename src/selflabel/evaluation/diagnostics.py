"""What can be said of a labelling without truth: agreement of heads, stability under views, confidence, and from them
one estimated accuracy with its band.
"""

from __future__ import annotations

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


# How the signs make an accuracy, and the band that held 90 % of the sets left out: both from reproduce/estimate.py.
CONSTANTS = (0.588, 0.057, 2.18)
BAND = 0.1


def shortfalls(signs: Signs) -> np.ndarray:
    """What the estimated error is linear in: want of support, of confidence, and of confidence squared.

    Heads that disagree say that classes are split or merged somewhere; want of confidence, that items lie between labels.
    """
    doubt = 1 - signs.confidence
    return np.array([1 - signs.support, doubt, doubt**2])


def predicted(signs: Signs, constants: np.ndarray) -> float:
    """The accuracy estimated with given constants, 0 to 1."""
    return float(np.clip(1 - shortfalls(signs) @ np.asarray(constants), 0, 1))


def fitted(signs: list[Signs], truth: np.ndarray) -> np.ndarray:
    """Non-negative constants of least mean absolute error on known accuracies, held near a prior because runs are few."""
    from scipy.optimize import minimize

    prior = np.array([0.3, 0.4, 2.0])

    def error(c: np.ndarray) -> float:
        misses = np.abs(np.array([predicted(s, c) for s in signs]) - truth)
        return float(misses.mean() + 0.002 * np.square(c - prior).sum() + 0.05 * np.square(np.minimum(c, 0)).sum())

    return minimize(error, prior, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-4, "fatol": 1e-7}).x


def estimated_accuracy(signs: Signs) -> dict[str, float]:
    """One accuracy with its band, from the signs alone.

    Example:
        >>> estimated_accuracy(Signs(agreement=1, support=1, stability=1, neighbours=1, confidence=1))["value"]
        1.0
    """
    value = predicted(signs, np.array(CONSTANTS))
    return {"value": round(value, 4), "low": round(max(0.0, value - BAND), 4), "high": round(min(1.0, value + BAND), 4)}
