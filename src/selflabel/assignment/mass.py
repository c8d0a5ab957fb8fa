"""The cluster sizes that a user asks for with `--mass`: target shares, their relaxation, and how a report describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from selflabel.assignment.marginals import TITLES, target_shares
from selflabel.assignment.scores import Scores
from selflabel.assignment.sinkhorn import Assignment

RELAXED = 0.3  # relaxation that `--mass relaxed` stands for in methods that have one for all heads
FREE, NEARLY_FIXED = 0.5, 0.05  # relaxations from which on sizes count as free, and up to which as nearly fixed


@dataclass(frozen=True)
class Mass:
    """Target masses of the labels.

    Attributes:
        name: "uniform", "gaussian", "zipf" or "estimated" (see `marginals.target_shares`).
        relax: 0 holds masses fixed, 1 leaves them free (see `sinkhorn`).
    """

    name: str
    relax: float = 0.0

    def shares(self, scores: Scores, epsilon: float, seed: int) -> Tensor:
        """(K,) float64 target shares for the labels of these N x K scores; see `marginals.target_shares`."""
        return target_shares(self.name, scores, epsilon, seed)

    def describe(self) -> str:
        """Cluster sizes in a phrase.

        Example:
            >>> Mass("uniform").describe(), Mass("uniform", 0.02).describe(), Mass("uniform", 0.6).describe()
            ('equal', 'nearly equal', 'free')
        """
        if self.relax >= FREE:
            return "free"
        if self.relax > NEARLY_FIXED:
            return f"partly free, from {TITLES[self.name]}"
        return f"nearly {TITLES[self.name]}" if self.relax else TITLES[self.name]

    def notes(self, solution: Assignment) -> dict[str, Any]:
        """Entries of report.json about the final solve."""
        return {
            "mass": self.describe(),
            "relaxation": self.relax,
            "mass_error": solution.error,
            "converged": solution.converged,
        }


def resolve_mass(requested: str, default: str) -> Mass:
    """The masses of a method with one relaxation for all heads.

    Args:
        requested: as in `--mass`: a name, "auto" or "relaxed".
        default: the method's own name for "auto".

    Example:
        >>> resolve_mass("auto", "gaussian"), resolve_mass("relaxed", "gaussian")
        (Mass(name='gaussian', relax=0.0), Mass(name='uniform', relax=0.3))
    """
    if requested == "relaxed":
        return Mass("uniform", RELAXED)
    return Mass(default if requested == "auto" else requested)
