"""How good the learned features are, whatever the labels: nearest neighbours, a linear layer, few labels, retrieval.

A probe is fitted on one part of the items and scored on another. Items of one group (takes of one film, pictures of one person)
must lie on the same side, or neighbours find the take and not the class.

Sources: weighted nearest neighbours with k = 10 and sigma = 0.1, Wu et al. (2018), as SeLa's CIFAR evaluation, whose grid of both
`papers` asks for, beside the schedules of linear layers; recall at k, SeLaVi section 4.3: whether any of an item's k nearest
among the fitted ones is of its class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.evaluation.linear import SCHEDULES, linear_accuracy
from selflabel.evaluation.metrics import codes

NEIGHBOURS, SIGMA = 10, 0.1
GRID_NEIGHBOURS, GRID_SIGMAS = (1, 5, 10, 50, 200), (0.1, 0.5)
RECALLS = (1, 5, 10, 20)
FEW = (1, 5, 10)  # labelled items a class
FOLDS, DRAWS = 5, 5


def probe(
    features: np.ndarray,
    truth: Sequence[str],
    groups: Sequence[str] | None = None,
    seed: int = 0,
    papers: bool = False,
) -> dict[str, Any]:
    """Every probe, as means over FOLDS parts of which each is scored once.

    Args:
        features: (N, D).
        truth: N classes.
        groups: N groups that stay together; None: every item is its own.
        seed: of the folds and of which few items are labelled.
        papers: neighbours by every k and sigma, and linear layers by every schedule, of papers, too.

    Returns:
        "knn" and "linear" accuracy, "recall" by k, "few" by items a class (mean over DRAWS draws a fold), "folds"; with `papers`
        "knn by k and sigma" and "linear by schedule".

    Raises:
        UserError: fewer than two groups or two classes.
    """
    x, y = unit(np.asarray(features, np.float32)), codes(truth)
    folds = split(y, groups, seed)
    if len(folds) < 2 or y.max() < 1:
        raise UserError(f"probes need two classes and two groups at least; found {y.max() + 1} and {len(folds)}.")
    raw = np.asarray(features, np.float32) if papers else None
    each = [one_fold(x, raw, y, fit, held, seed + i) for i, (fit, held) in enumerate(folds)]
    return {"folds": len(folds), **mean_of(each)}


def one_fold(
    x: np.ndarray, raw: np.ndarray | None, y: np.ndarray, fit: np.ndarray, held: np.ndarray, seed: int
) -> dict[str, Any]:
    """Of features at unit length; with `raw`, as they came, as papers do, too."""
    similarity, near = nearest(x[fit], x[held], max(NEIGHBOURS, *RECALLS, *(GRID_NEIGHBOURS if raw is not None else ())))
    K = int(y.max()) + 1
    made = {
        "knn": float((knn(similarity, y[fit][near], K) == y[held]).mean()),
        "linear": linear(x[fit], y[fit], x[held], y[held]),
        "recall": {str(k): float((y[fit][near[:, :k]] == y[held][:, None]).any(axis=1).mean()) for k in RECALLS},
        "few": {str(n): few(x[fit], y[fit], x[held], y[held], n, seed) for n in FEW},
    }
    if raw is None:
        return made
    return made | {
        "knn by k and sigma": {
            f"{k}, {sigma:g}": float((knn(similarity, y[fit][near], K, k, sigma) == y[held]).mean())
            for k in GRID_NEIGHBOURS
            for sigma in GRID_SIGMAS
        },
        "linear by schedule": {
            name: linear_accuracy(raw[fit], y[fit], raw[held], y[held], s, seed) for name, s in SCHEDULES.items()
        },
    }


def nearest(fit: np.ndarray, held: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(similarities, rows of `fit`) of the k nearest by cosine, nearest first; rows are at unit length."""
    import faiss

    index = faiss.IndexFlatIP(fit.shape[1])
    index.add(np.ascontiguousarray(fit))
    return index.search(np.ascontiguousarray(held), min(k, len(fit)))


def knn(similarity: np.ndarray, classes: np.ndarray, n_classes: int, k: int = NEIGHBOURS, sigma: float = SIGMA) -> np.ndarray:
    """The class of most votes, a neighbour's vote being exp(similarity / sigma).

    Example:
        >>> knn(np.array([[0.9, 0.8, 0.7]]), np.array([[1, 0, 0]]), 2, k=3, sigma=1.0)
        array([0])
    """
    weight = np.exp((similarity[:, :k] - similarity[:, :1]) / sigma)
    votes = np.zeros((len(classes), n_classes))
    np.add.at(votes, (np.arange(len(classes))[:, None], classes[:, :k]), weight)
    return votes.argmax(axis=1)


def linear(fit: np.ndarray, y_fit: np.ndarray, held: np.ndarray, y_held: np.ndarray) -> float:
    """Accuracy of logistic regression on standardised features; one class is all it can say where it saw one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(set(y_fit.tolist())) == 1:
        return float((y_held == y_fit[0]).mean())
    return float(make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)).fit(fit, y_fit).score(held, y_held))


def few(fit: np.ndarray, y_fit: np.ndarray, held: np.ndarray, y_held: np.ndarray, n: int, seed: int) -> float:
    """Mean accuracy of the nearest class mean, from n labelled items a class."""
    rng = np.random.default_rng(seed)
    classes, found = np.unique(y_fit), []
    for _ in range(DRAWS):
        drawn = [rng.permutation(np.flatnonzero(y_fit == c))[:n] for c in classes]
        centres = unit(np.stack([fit[rows].mean(axis=0) for rows in drawn]))
        found.append((classes[(held @ centres.T).argmax(axis=1)] == y_held).mean())
    return float(np.mean(found))


def split(y: np.ndarray, groups: Sequence[str] | None, seed: int, most: int = FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """(fitted, held out) rows of each fold: groups whole, classes in about equal shares."""
    from sklearn.model_selection import StratifiedGroupKFold

    of = np.arange(len(y)) if groups is None else codes(groups)
    n = min(most, len(set(of.tolist())), int(np.bincount(y).max(initial=0)))
    if n < 2:
        return []
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer items than folds is in some of them only
        return list(StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(y, y, of))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def mean_of(each: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of numbers at the same place in nested dicts."""

    def mean(values: list[Any]) -> Any:
        return mean_of(values) if isinstance(values[0], dict) else round(float(np.mean(values)), 4)

    return {key: mean([e[key] for e in each]) for key in each[0]}
