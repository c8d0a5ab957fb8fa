"""What a labelling says about itself without truth: how far its heads agree, how stable it is under random views, how confident
it is. `estimate.py` estimates the accuracy from these.

Axes: N items, k neighbours, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selflabel.evaluation.metrics import accuracy, mean_pairwise_nmi

BINS = 20


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
