"""`--outliers`: which items fit no cluster. Where features are known before training, they are left out of it, so that they take
no cluster for themselves; in the end labels are given to all items, and a last solve says which of them fit none.

Axes: N items, M of them that are trained on, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.outliers import USUAL_SHARE, atypicality, fitting_nothing, outlier_share
from selflabel.contract import Features, Method, Outcome
from selflabel.jobs.prepare import Modality, Prepared
from selflabel.training.data import ResidentData

FEWEST = 20  # items; of fewer, none is an outlier


@dataclass(frozen=True)
class Typicality:
    """How typical the items are.

    Attributes:
        scores: (N,) how untypical each is, on the scale of log-posteriors.
        share: of outliers, as it was asked for or found.
    """

    scores: Tensor
    share: float

    @classmethod
    def of(cls, features_ND: Tensor, outliers: str | float) -> Typicality:
        """By features, for a share of outliers or "auto"; of few items none is an outlier."""
        if len(features_ND) < FEWEST:
            return cls(torch.zeros(len(features_ND)), 0.0)
        if not isinstance(outliers, str):
            return cls(atypicality(features_ND, outliers), outliers)
        scores = atypicality(features_ND, USUAL_SHARE)
        return cls(scores, outlier_share(scores))

    @property
    def typical_rows(self) -> np.ndarray:
        """(M,) rows of the items without the share of the least typical ones, in order."""
        count = round(self.share * len(self.scores))
        return np.sort(self.scores.argsort(stable=True)[: len(self.scores) - count].numpy())


def typicality_before(prepared: Prepared, outliers: str | float | None) -> Typicality | None:
    """How typical the items are, where outliers are asked for and features are known before training; else None."""
    tensor = prepared.first.tensor
    is_known = len(prepared.modalities) == 1 and prepared.first.kind == "features"
    if outliers is None or not is_known or tensor is None:
        return None
    return Typicality.of(torch.from_numpy(np.array(tensor, np.float32)), outliers)


def only_rows(prepared: Prepared, rows: np.ndarray | None) -> Prepared:
    """A set with these rows only; None is all of it."""
    if rows is None or len(rows) == len(prepared.items):
        return prepared
    modalities = {m: only_rows_of(modality, rows) for m, modality in prepared.modalities.items()}
    texts = None if prepared.texts is None else prepared.texts.take(rows)
    return replace(prepared, items=prepared.items.take(rows.tolist()), modalities=modalities, texts=texts)


def only_rows_of(modality: Modality, rows: np.ndarray) -> Modality:
    tensor = modality.tensor
    assert tensor is not None
    by_row = (modality.lengths, modality.spans_s, modality.sizes)
    lengths, spans, sizes = (None if x is None else x[rows] for x in by_row)
    modality = replace(modality, lengths=lengths, spans_s=spans, sizes=sizes)
    if modality.index is not None:
        return replace(modality, index=modality.index[rows])
    if modality.kind != "features":
        return replace(modality, index=rows)
    return replace(modality, tensor=tensor[rows])


def for_all_items(outcome: Outcome, method: Method, data: ResidentData, rows: np.ndarray | None) -> Outcome:
    """The outcome of the items that were trained on, with predicted labels for the others.

    Args:
        outcome: of the rows (M,), all N where they are None.
        method: trained.
        data: all N items.
        rows: that were trained on.
    """
    if rows is None or len(rows) == data.n_items:
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


def find_outliers(
    outcome: Outcome, known: Typicality | None, features_ND: Tensor, outliers: str | float | None
) -> np.ndarray | None:
    """(N,) bool, the items that fit no cluster; None where that was not asked for.

    Args:
        outcome: of all items.
        known: how typical they are, where that was known before training.
        features_ND: (N, D) of the finished run, which say it where it was not.
        outliers: "auto", their share, or None.
    """
    if outliers is None:
        return None
    typicality = known or Typicality.of(features_ND, outliers)
    log_posteriors = (outcome.probabilities.float() + 1e-8).log().cpu()
    return fitting_nothing(log_posteriors, typicality.scores, typicality.share).numpy()
