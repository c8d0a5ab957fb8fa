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


def estimated_accuracy(signs: Signs) -> dict[str, float]:
    return {"value": signs.support, "low": 0.0, "high": 1.0}
