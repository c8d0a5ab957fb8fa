"""`--outliers`: which items fit no cluster. Where features are known before training, they are left out of it, so that they take
no cluster for themselves; in the end labels are given to all items, and a last solve says which of them fit none.

Axes: N items, M of them that are trained on, K labels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.outliers import MAX_SHARE, USUAL_SHARE, atypicality, fitting_nothing, outlier_share
from selflabel.contract import Features, Method, Outcome
from selflabel.jobs.prepare import Modality, Prepared
from selflabel.training.data import ResidentData

AUTO = "auto"
FEWEST = 20  # items; of fewer, all are trained on


def rows_to_train_on(prepared: Prepared, outliers: str | float | None) -> np.ndarray | None:
    """The items (M,) without the least typical ones; None for all: no outliers were asked for, or features are not known yet."""
    tensor = prepared.first.tensor
    is_known = len(prepared.modalities) == 1 and prepared.first.kind == "features"
    if outliers is None or not is_known or tensor is None or len(prepared.items) < FEWEST:
        return None
    scores, share = scores_and_share(torch.from_numpy(np.array(tensor, np.float32)), outliers)
    count = round(share * len(scores))
    return np.sort(scores.argsort(stable=True)[: len(scores) - count].numpy()) if count else None


def scores_and_share(features_ND: Tensor, outliers: str | float) -> tuple[Tensor, float]:
    """(N,) how untypical each item is, and the share of outliers: as it was asked for, or found."""
    if not isinstance(outliers, str):
        return atypicality(features_ND, outliers), outliers
    scores = atypicality(features_ND, USUAL_SHARE)
    return scores, min(MAX_SHARE, outlier_share(scores))


def only_rows(prepared: Prepared, rows: np.ndarray | None) -> Prepared:
    """A set of features with these rows only; None is all of it."""
    if rows is None:
        return prepared
    modalities = {m: only_rows_of(modality, rows) for m, modality in prepared.modalities.items()}
    return Prepared(prepared.items.take(rows.tolist()), modalities)


def only_rows_of(modality: Modality, rows: np.ndarray) -> Modality:
    assert modality.tensor is not None
    if modality.index is not None:
        return replace(modality, index=modality.index[rows])
    return replace(modality, tensor=modality.tensor[rows])


def for_all_items(outcome: Outcome, method: Method, data: ResidentData, rows: np.ndarray | None) -> Outcome:
    """The outcome of the items that were trained on, with predicted labels for the others.

    Args:
        outcome: of the rows (M,), all N where they are None.
        method: trained.
        data: all N items.
        rows: that were trained on.
    """
    if rows is None:
        return outcome
    predicted = method.predict(Features({m: data.features(m) for m in data.stored}, data.present)).log_probs
    trained = torch.from_numpy(rows)

    def filled(values: Tensor, known: Tensor) -> Tensor:
        result = values.to(known)
        result[trained.to(known.device)] = known
        return result

    labels = [filled(p.argmax(dim=1), known) for p, known in zip(predicted, outcome.labels)]
    probabilities = filled(predicted[outcome.head].exp(), outcome.probabilities)
    return replace(outcome, labels=labels, probabilities=probabilities)


def find_outliers(outcome: Outcome, features_ND: Tensor, outliers: str | float | None) -> np.ndarray | None:
    """(N,) bool, the items that fit no cluster; None where that was not asked for.

    Args:
        outcome: of all items.
        features_ND: (N, D) of the finished run.
        outliers: "auto", their share, or None.
    """
    if outliers is None:
        return None
    if len(features_ND) < FEWEST:
        return np.zeros(len(features_ND), bool)
    scores, share = scores_and_share(features_ND, outliers)
    return fitting_nothing((outcome.probabilities.float() + 1e-8).log().cpu(), scores, share).numpy()
