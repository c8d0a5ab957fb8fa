"""What a labelling says about itself without truth: how far its heads agree, how stable it is under random views, how confident
it is; and from these one estimated accuracy with its band.

Axes: N items, k neighbours, H heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from selflabel.evaluation.metrics import accuracy, mean_pairwise_nmi

BINS = 20

# How an accuracy is estimated, fitted on known runs by reproduce/estimate.py; the band held 90 % of the runs on sets left out.
STABILITY_EXPONENTS = (0.42, 1.89)  # of support and of stability
CONFIDENCE_SLOPES = (0.62, 2.265)  # of 1 - support and of (1 - confidence) squared
BAND = 0.1


@dataclass(frozen=True)
class Diagnostics:
    """Label-free measures, each in [0, 1]. Their names are keys of report.json.

    Attributes:
        agreement: mean NMI over pairs of heads.
        support: share of items on which another head, its labels matched one-to-one, agrees with the reported head; mean over
            the other heads.
        stability: share of items that keep their label under a random view.
        neighbours: share of nearest neighbours with the same label.
        confidence: mean probability of an item's label.
    """

    agreement: float
    support: float
    stability: float
    neighbours: float
    confidence: float


def diagnose(
    heads: list[np.ndarray], head: int, view_labels: np.ndarray, neighbours: np.ndarray, confidence: np.ndarray
) -> Diagnostics:
    """Compute the label-free measures.

    Args:
        heads: labels (N,) of every head of the same K.
        head: index of the reported one.
        view_labels: (N,) labels that the reported head gives to random views of the items.
        neighbours: (N, k) rows of each item's nearest neighbours.
        confidence: (N,) probability of each item's label, in [0, 1].
    """
    labels = heads[head]
    matched = [accuracy(labels, other) for h, other in enumerate(heads) if h != head]
    return Diagnostics(
        agreement=mean_pairwise_nmi(heads) if len(heads) > 1 else 1.0,
        support=float(np.mean(matched)) if matched else 1.0,
        stability=float((labels == view_labels).mean()),
        neighbours=float((labels[neighbours] == labels[:, None]).mean()),
        confidence=float(np.mean(confidence)),
    )


def histogram(confidence: np.ndarray) -> list[int]:
    """Counts of the confidences in 20 equal bins of [0, 1]."""
    return np.histogram(np.clip(confidence, 0, 1), bins=BINS, range=(0, 1))[0].tolist()


def accuracy_from_stability(diagnostics: Diagnostics, exponents: np.ndarray) -> float:
    """The estimate in [0, 1] where a network was trained on views: support ** a * stability ** b.

    Heads disagree where classes are split or merged. Labels change with the view where they were memorised.

    Args:
        diagnostics: of the labelling.
        exponents: (a, b).
    """
    return float(diagnostics.support ** exponents[0] * diagnostics.stability ** exponents[1])


def accuracy_from_confidence(diagnostics: Diagnostics, slopes: np.ndarray) -> float:
    """The estimate in [0, 1] on given or frozen features: 1 - a (1 - support) - b (1 - confidence) ** 2.

    Stability is no use there: views of features only lack some entries, which changes few labels, right or wrong. Low confidence
    shows that items lie between labels.

    Args:
        diagnostics: of the labelling.
        slopes: (a, b).
    """
    lost = slopes[0] * (1 - diagnostics.support), slopes[1] * (1 - diagnostics.confidence) ** 2
    return float(np.clip(1 - lost[0] - lost[1], 0, 1))


def fit_constants(
    estimate: Callable[[Diagnostics, np.ndarray], float],
    prior: tuple[float, ...],
    diagnostics: list[Diagnostics],
    accuracies: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """The constants of an estimate with the least mean absolute error on runs of known accuracy.

    Negative constants are penalised, and so is distance from a prior, because runs are few.

    Args:
        estimate: `accuracy_from_stability` or `accuracy_from_confidence`.
        prior: the expected constants.
        diagnostics: of R runs.
        accuracies: (R,) their true accuracies.
        weights: (R,) of the runs.
    """
    from scipy.optimize import minimize

    def error(c: np.ndarray) -> float:
        misses = np.abs(np.array([estimate(d, c) for d in diagnostics]) - accuracies)
        penalty = 0.002 * np.square(c - np.array(prior)).sum() + 0.05 * np.square(np.minimum(c, 0)).sum()
        return float(np.average(misses, weights=weights) + penalty)

    return minimize(error, np.array(prior), method="Nelder-Mead", options={"maxiter": 4000, "xatol": 1e-4, "fatol": 1e-7}).x


def estimated_accuracy(diagnostics: Diagnostics, has_views: bool) -> dict[str, float]:
    """An estimate of the accuracy with its band, without truth.

    Args:
        diagnostics: of the labelling.
        has_views: whether a network was trained on changed views of the items, so that stability is informative; False where
            features were given or frozen.

    Returns:
        "value", "low" and "high", each in [0, 1].

    Example:
        >>> perfect = Diagnostics(agreement=1, support=1, stability=1, neighbours=1, confidence=1)
        >>> estimated_accuracy(perfect, has_views=True)["value"]
        1.0
    """
    if has_views:
        value = accuracy_from_stability(diagnostics, np.array(STABILITY_EXPONENTS))
    else:
        value = accuracy_from_confidence(diagnostics, np.array(CONFIDENCE_SLOPES))
    return {"value": round(value, 4), "low": round(max(0.0, value - BAND), 4), "high": round(min(1.0, value + BAND), 4)}
