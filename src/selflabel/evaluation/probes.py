"""How good features are, whatever the labels: nearest neighbours, a linear layer, few labels, retrieval.

A probe is trained on one part of the items and tested on another. Items of one group (takes of one video, images of one person)
must be on the same side, or a neighbour is the same take rather than the same class.

Sources: weighted nearest neighbours with k = 10 and sigma = 0.1, Wu et al. (2018), as SeLa's CIFAR evaluation, whose grid of both
`papers` adds, beside the schedules of linear layers; recall at k, SeLaVi section 4.3: whether any of an item's k nearest training
items is of its class.

Axes: N training items, M test items, D features, k neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.evaluation.linear import SCHEDULES, linear_accuracy
from selflabel.evaluation.metrics import encode_labels

NEIGHBOURS, SIGMA = 10, 0.1
GRID_NEIGHBOURS, GRID_SIGMAS = (1, 5, 10, 50, 200), (0.1, 0.5)
RECALL_AT = (1, 5, 10, 20)
SHOTS = (1, 5, 10)  # labelled items of each class
N_FOLDS, DRAWS = 5, 5


@dataclass(frozen=True)
class Fold:
    """Features and classes (as numbers from 0) of the training items and of the test items."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, rows: tuple[np.ndarray, np.ndarray]) -> Fold:
        train, test = rows
        return cls(x[train], y[train], x[test], y[test])


def probe(
    features: np.ndarray,
    truth: Sequence[str],
    groups: Sequence[str] | None = None,
    seed: int = 0,
    papers: bool = False,
) -> dict[str, Any]:
    """Every probe, averaged over 5 folds in each of which a fifth of the items is tested.

    Args:
        features: (N, D).
        truth: N classes.
        groups: N groups that stay together; None: each item is a group of its own.
        seed: of the folds and of which few items are labelled.
        papers: also nearest neighbours by the papers' k and sigma, and linear layers by the papers' schedules.

    Returns:
        "knn" and "linear" accuracy, "recall" by k, "few" by labelled items of a class (mean over 5 draws in each fold), "folds";
        with `papers` "knn by k and sigma" and "linear by schedule".

    Raises:
        UserError: fewer than two groups or two classes.
    """
    x, y = normalise_rows(np.asarray(features, np.float32)), encode_labels(truth)
    folds = group_folds(y, groups, seed)
    if len(folds) < 2 or y.max() < 1:
        raise UserError(f"probes need two classes and two groups at least; found {y.max() + 1} and {len(folds)}.")
    results = []
    for i, rows in enumerate(folds):
        original = Fold.of(np.asarray(features, np.float32), y, rows) if papers else None
        results.append(probe_fold(Fold.of(x, y, rows), int(y.max()) + 1, seed + i, original))
    return {"folds": len(folds), **mean_of_dicts(results)}


def probe_fold(fold: Fold, n_classes: int, seed: int, original: Fold | None = None) -> dict[str, Any]:
    """Every probe on one fold.

    Args:
        fold: features of unit length.
        n_classes: of all folds.
        seed: of which few items are labelled.
        original: the same fold with features of their own length; adds the papers' probes.
    """
    largest_k = max(NEIGHBOURS, *RECALL_AT, *(GRID_NEIGHBOURS if original is not None else ()))
    similarity, rows = nearest(fold.x_train, fold.x_test, largest_k)
    classes = fold.y_train[rows]
    result = {
        "knn": share_equal(knn_predict(similarity, classes, n_classes), fold.y_test),
        "linear": logistic_regression_accuracy(fold),
        "recall": {str(k): float((classes[:, :k] == fold.y_test[:, None]).any(axis=1).mean()) for k in RECALL_AT},
        "few": {str(n): few_shot_accuracy(fold, n, seed) for n in SHOTS},
    }
    if original is None:
        return result
    by_k_and_sigma = {
        f"{k}, {sigma:g}": share_equal(knn_predict(similarity, classes, n_classes, k, sigma), fold.y_test)
        for k in GRID_NEIGHBOURS
        for sigma in GRID_SIGMAS
    }
    of = (original.x_train, original.y_train, original.x_test, original.y_test)
    by_schedule = {name: linear_accuracy(*of, schedule, seed) for name, schedule in SCHEDULES.items()}
    return result | {"knn by k and sigma": by_k_and_sigma, "linear by schedule": by_schedule}


def nearest(train_ND: np.ndarray, test_MD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Similarities and training rows, (M, k) each, of the k nearest training items by cosine, nearest first.

    Features must be of unit length.
    """
    import faiss

    index = faiss.IndexFlatIP(train_ND.shape[1])
    index.add(np.ascontiguousarray(train_ND))
    return index.search(np.ascontiguousarray(test_MD), min(k, len(train_ND)))


def knn_predict(
    similarity: np.ndarray, classes: np.ndarray, n_classes: int, k: int = NEIGHBOURS, sigma: float = SIGMA
) -> np.ndarray:
    """(M,) classes by weighted vote of the k nearest neighbours (Wu et al., 2018): weight exp(similarity / sigma).

    Args:
        similarity: (M, k or more) cosine similarities, highest first.
        classes: (M, k or more) of the neighbours.
        n_classes: how many classes there are.
        k: neighbours that vote.
        sigma: temperature.

    Example:
        >>> knn_predict(np.array([[0.9, 0.8, 0.7]]), np.array([[1, 0, 0]]), 2, k=3, sigma=1.0)
        array([0])
    """
    weight = np.exp((similarity[:, :k] - similarity[:, :1]) / sigma)
    votes = np.zeros((len(classes), n_classes))
    np.add.at(votes, (np.arange(len(classes))[:, None], classes[:, :k]), weight)
    return votes.argmax(axis=1)


def logistic_regression_accuracy(fold: Fold) -> float:
    """Accuracy of logistic regression on standardised features; with one training class, of predicting that class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(set(fold.y_train.tolist())) == 1:
        return share_equal(fold.y_test, fold.y_train[0])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    return float(classifier.fit(fold.x_train, fold.y_train).score(fold.x_test, fold.y_test))


def few_shot_accuracy(fold: Fold, n: int, seed: int) -> float:
    """Accuracy of the nearest class mean from n labelled items of each class, averaged over 5 draws."""
    rng = np.random.default_rng(seed)
    classes, accuracies = np.unique(fold.y_train), []
    for _ in range(DRAWS):
        subsets = [rng.permutation(np.flatnonzero(fold.y_train == c))[:n] for c in classes]
        means = normalise_rows(np.stack([fold.x_train[rows].mean(axis=0) for rows in subsets]))
        accuracies.append((classes[(fold.x_test @ means.T).argmax(axis=1)] == fold.y_test).mean())
    return float(np.mean(accuracies))


def group_folds(
    y: np.ndarray, groups: Sequence[str] | None, seed: int, n_folds: int = N_FOLDS
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training rows, test rows) of each fold: groups are never split, classes have about equal shares.

    Args:
        y: (N,) classes as numbers from 0.
        groups: N groups; None: each item is a group of its own.
        seed: of the shuffle.
        n_folds: at most; fewer where groups or items of the largest class are fewer, none for less than two.
    """
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    group_codes = np.arange(len(y)) if groups is None else encode_labels(groups)
    n = min(n_folds, len(set(group_codes.tolist())), int(np.bincount(y).max(initial=0)))
    if n < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class of fewer items than folds is in some of them only
        return list(StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(y, y, group_codes))


def normalise_rows(x: np.ndarray) -> np.ndarray:
    """Rows at unit length; zeros stay zeros."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def share_equal(predictions: np.ndarray, truth: np.ndarray) -> float:
    return float((predictions == truth).mean())


def mean_of_dicts(dicts: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the numbers at the same keys of nested dicts, rounded to four digits."""

    def mean(values: list[Any]) -> Any:
        return mean_of_dicts(values) if isinstance(values[0], dict) else round(float(np.mean(values)), 4)

    return {key: mean([d[key] for d in dicts]) for key in dicts[0]}
