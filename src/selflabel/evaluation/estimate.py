"""The accuracy of a finished labelling, estimated without truth, with its band; or why it cannot be estimated.

The log-odds of the accuracy are a weighted sum of the log-odds of a few diagnostics. Weights, band and the range in which they
hold are fitted by `reproduce/estimate.py` on runs of known accuracy, a whole kind of data left out at a time, and stored in
`accuracy_models.py`.

Axes: N items, K labels, R runs, D indicators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selflabel.evaluation.diagnostics import Diagnostics

CLIP = 0.02  # diagnostics and accuracies nearer to 0 or 1 count as this near
RIDGE = 0.01  # pull of the weights towards 0: kinds of data are few
HELD = 0.95  # share of the runs of the kind with the largest errors that the band holds
MIN_ITEMS = 100  # whatever was calibrated
USED = 0.9  # share of the labels with items; models were fitted where K is the number of classes, to within a third
NUMBER = 1.5  # factor between K and the number of clusters that the data show, above which no accuracy is estimated
MIN_EPOCHS, MIN_SHOWN = 3, 5_000  # epochs, and items shown in all, of the shortest run that was calibrated
BELOW = 0.02  # a diagnostic may be lower than in any calibrated run by this much


@dataclass(frozen=True)
class AccuracyModel:
    """How the accuracy of one group of runs is estimated.

    Attributes:
        indicators: (D,) names of diagnostics.
        weights: (D + 1,) the constant, and a weight for the log-odds of each indicator.
        lowest: (D,) each indicator at its lowest in the calibrated runs.
        band: half-width of the band, in log-odds.
        highest: the highest accuracy of the calibrated runs.
        items, items_per_cluster: the smallest of the calibrated runs.
    """

    indicators: tuple[str, ...]
    weights: tuple[float, ...]
    lowest: tuple[float, ...]
    band: float
    highest: float
    items: int
    items_per_cluster: int


@dataclass(frozen=True)
class RunFacts:
    """What decides, beside the diagnostics, whether an accuracy can be estimated.

    Attributes:
        labels: (N,) in 0 .. K - 1, of the reported head; of the items that fit a cluster.
        K: number of labels, in use or not.
        n_heads: that can agree.
        collapsed: see `collapse.is_collapsed`.
        epochs: trained; None where nothing is trained.
        shown: number of clusters that the data show; None where the method did not look for it.
    """

    labels: np.ndarray
    K: int
    n_heads: int
    collapsed: bool = False
    epochs: int | None = None
    shown: int | None = None


def log_odds(p: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) of shares, clipped to CLIP .. 1 - CLIP."""
    p = np.clip(p, CLIP, 1 - CLIP)
    return np.log(p / (1 - p))


def share(odds: np.ndarray) -> np.ndarray:
    """The shares whose log-odds these are."""
    return 1 / (1 + np.exp(-odds))


def fit_weights(indicators_RD: np.ndarray, accuracies_R: np.ndarray, weights_R: np.ndarray) -> np.ndarray:
    """(D + 1,) the constant and the weights of the indicators with the least squared error of the accuracy's log-odds.

    Args:
        indicators_RD: diagnostics of known runs, each in [0, 1].
        accuracies_R: their true accuracies.
        weights_R: of the runs.
    """
    A = np.column_stack([np.ones(len(indicators_RD)), log_odds(indicators_RD)])
    W = weights_R / weights_R.sum()
    pull = RIDGE * np.diag([0.0] + [1.0] * indicators_RD.shape[1])
    return np.linalg.solve(A.T @ (W[:, None] * A) + pull, A.T @ (W * log_odds(accuracies_R)))


def predicted_log_odds(weights: Sequence[float] | np.ndarray, indicators_RD: np.ndarray) -> np.ndarray:
    """(R,) log-odds of the accuracies by weights (D + 1,)."""
    return weights[0] + log_odds(indicators_RD) @ np.asarray(weights[1:])


def widest_band(errors_R: np.ndarray, kinds: Sequence[str]) -> float:
    """The half-width that holds most runs of every kind of data: the widest of the kinds' own.

    Args:
        errors_R: true less estimated log-odds, of runs whose kind was left out when the estimate was fitted.
        kinds: (R,) of the runs.

    Example:
        >>> round(widest_band(np.array([0.1, -0.1, 0.5, -0.5]), ["a", "a", "b", "b"]), 3)
        0.5
    """
    of_kind = np.asarray(kinds)
    return max(float(np.quantile(np.abs(errors_R[of_kind == kind]), HELD)) for kind in sorted(set(kinds)))


def estimated_accuracy(diagnostics: Diagnostics, model: AccuracyModel, n_clusters: int) -> dict[str, float]:
    """An estimate of the accuracy with its band, without truth: never below chance, never above what was calibrated.

    Args:
        diagnostics: of the labelling.
        model: of its group of runs.
        n_clusters: that have items; chance is one of them.

    Returns:
        "value", "low" and "high", each in (0, 1).
    """
    row = np.array([[getattr(diagnostics, name) for name in model.indicators]])
    odds = predicted_log_odds(model.weights, row)[0]
    chance = 1 / n_clusters
    low, value, high = (float(np.clip(share(odds + d), chance, model.highest)) for d in (-model.band, 0.0, model.band))
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def no_estimate(diagnostics: Diagnostics, facts: RunFacts, model: AccuracyModel | None) -> str | None:
    """Why no accuracy is estimated, as the end of a sentence; None where one is.

    Args:
        diagnostics: of the labelling.
        facts: of the run.
        model: of its group of runs; None where there is none.
    """
    n, found = len(facts.labels), len(np.unique(facts.labels))
    if found < 2:
        return "one cluster is right whatever is in it"
    if facts.n_heads < 2:
        return "this method has one head, and no others to agree with it"
    if facts.collapsed:
        return "the labels say too little"
    if model is None:
        return "the estimate was calibrated on runs of sela-nn only"
    fewest = max(MIN_ITEMS, model.items, model.items_per_cluster * facts.K)
    if n < fewest:
        return f"{n:,} items are too few for {facts.K} clusters; it takes {fewest:,}"
    if found < USED * facts.K:
        return f"only {found} of {facts.K} clusters have items"
    if facts.shown is not None and max(facts.shown / facts.K, facts.K / facts.shown) > NUMBER:
        return f"the data show about {facts.shown} clusters, and these are {facts.K}"
    least = max(MIN_EPOCHS, -(-MIN_SHOWN // n))
    if facts.epochs is not None and facts.epochs < least:
        return f"the training was too short, {facts.epochs} epoch{'s' * (facts.epochs != 1)} of at least {least}"
    for name, lowest in zip(model.indicators, model.lowest):
        if getattr(diagnostics, name) < lowest - BELOW:
            return f"the {name} of {getattr(diagnostics, name):.2f} is lower than in any run that it was calibrated on"
    return None
