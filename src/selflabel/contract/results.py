"""What a method gives: a label turn's labels, the labels of a block, the finished labelling.

Axes: N items, B items of a block, K labels, R regions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from selflabel.items import Pieces


@dataclass(frozen=True)
class Relabelling:
    """The result of a label turn.

    Attributes:
        labels: (N,) int labels of each head; empty where the turn makes classes that are no labels of all items.
        error: largest relative error of a label's mass.
        n_iter: iterations of the solver.
        converged: whether the solver reached its tolerance.
        reset: prefixes of the names of parameters that were initialised again; their optimiser state is dropped.
    """

    labels: list[Tensor]
    error: float = 0.0
    n_iter: int = 0
    converged: bool = True
    reset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """Labels of a block of items: log-probabilities (B, K) of each head."""

    log_probs: list[Tensor]


@dataclass(frozen=True, eq=False)
class Regions:
    """Parts of items that were found.

    Attributes:
        rows: (R,) int64, the item that each lies in, ascending.
        pieces: (R,) their boxes, masks or time spans, with a score each.
        features: (R, D) float32, what describes each.
        labels: (R,) int64 where the method gives each a class; else None.
    """

    rows: np.ndarray
    pieces: Pieces
    features: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class LinearSolve:
    """How the reported labels were solved from the scores of a linear head, so that those of more items can be solved likewise.

    Attributes:
        weight, bias: (K, D) and (K,) of the head, on the encoder's features.
        shares: (K,) target shares of the labels.
        relax: 0 holds the masses fixed, 1 leaves them free (see `assignment.sinkhorn`).
        epsilon: temperature of the transport.
        temperature: of the probabilities, softmax((scores + potentials) / temperature).
        potentials: (K,) of the solution.
        mass: name of the shares, as in `assignment.mass.Mass`.
    """

    weight: Tensor
    bias: Tensor
    shares: Tensor
    relax: float
    epsilon: float
    temperature: float
    potentials: Tensor
    mass: str = "uniform"


@dataclass(frozen=True)
class Outcome:
    """The finished labelling: labels of the items, regions in them, or both.

    Attributes:
        labels: (N,) int labels of each head; empty where the method gives regions only.
        head: the reported head, chosen without truth.
        probabilities: (N, K) float16 of the reported head.
        notes: further entries of report.json. "n_clusters", of a method that looked for the number of clusters, is
            {"found": number, "candidates": [[number, merit], ...] best first}; the report calls it `number_of_clusters`.
        regions: parts of the items; None where the method labels whole items only.
        solve: how the labels of more items are solved; None where they are the most probable ones.
    """

    labels: list[Tensor]
    head: int
    probabilities: Tensor
    notes: dict[str, Any] = field(default_factory=dict)
    regions: Regions | None = None
    solve: LinearSolve | None = None


def argmax_outcome(log_probs: list[Tensor], head: int, notes: dict[str, Any]) -> Outcome:
    """The labelling in which every head (N, K) gives each item its most probable label."""
    return Outcome([p.argmax(dim=1) for p in log_probs], head, log_probs[head].exp().half(), notes)


def lowest_loss_head(losses: list[float]) -> int:
    """The head of lowest loss; the first of those that differ by rounding only."""
    return min(range(len(losses)), key=lambda h: (round(losses[h], 6), h))
