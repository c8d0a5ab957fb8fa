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


# How the signs make an accuracy, from reproduce/estimate.py: constants of `features_of`, and the band that held 90 %.
CONSTANTS = (0.0, 1.0, 0.0, 0.0)
BAND = 0.1


def features_of(signs: Signs) -> np.ndarray:
    """What the estimate is linear in, on the logit scale: one, and the logits of neighbours, support and confidence."""
    values = np.array([signs.neighbours, signs.support, signs.confidence])
    return np.concatenate([[1.0], logit(values)])


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 0.02, 0.99)
    return np.log(p / (1 - p))


def fitted(signs: list[Signs], truth: np.ndarray) -> np.ndarray:
    """Constants by least squares on accuracies, few and held towards even weights by a ridge."""
    from scipy.optimize import minimize

    x, prior = np.stack([features_of(s) for s in signs]), np.array([0.0, 1 / 3, 1 / 3, 1 / 3])

    def error(c: np.ndarray) -> float:
        return float(np.abs(1 / (1 + np.exp(-x @ c)) - truth).mean() + 0.01 * np.square(c - prior).sum())

    return minimize(error, prior, method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-8}).x


def predicted(signs: Signs, constants: np.ndarray) -> float:
    """The estimate for given constants."""
    return float(1 / (1 + np.exp(-features_of(signs) @ np.asarray(constants))))


def estimated_accuracy(signs: Signs) -> dict[str, float]:
    """One accuracy with its band, from the signs alone."""
    value = predicted(signs, np.array(CONSTANTS))
    return {"value": round(value, 4), "low": round(max(0.0, value - BAND), 4), "high": round(min(1.0, value + BAND), 4)}
