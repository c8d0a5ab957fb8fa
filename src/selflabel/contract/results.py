"""What a method gives: a label turn's labels, the labels of a block, the finished labelling.

Axes: N items, B items of a block, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


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


@dataclass(frozen=True)
class Outcome:
    """The finished labelling.

    Attributes:
        labels: (N,) int labels of each head.
        head: the reported head, chosen without truth.
        probabilities: (N, K) float16 of the reported head.
        notes: further entries of report.json. "n_clusters", of a method that looked for the number of clusters, is
            {"found": number, "candidates": [[number, merit], ...] best first}; the report calls it `number_of_clusters`.
    """

    labels: list[Tensor]
    head: int
    probabilities: Tensor
    notes: dict[str, Any] = field(default_factory=dict)


def argmax_outcome(log_probs: list[Tensor], head: int, notes: dict[str, Any]) -> Outcome:
    """The labelling in which every head (N, K) gives each item its most probable label."""
    return Outcome([p.argmax(dim=1) for p in log_probs], head, log_probs[head].exp().half(), notes)


def lowest_loss_head(losses: list[float]) -> int:
    """The head of lowest loss; the first of those that differ by rounding only."""
    return min(range(len(losses)), key=lambda h: (round(losses[h], 6), h))
