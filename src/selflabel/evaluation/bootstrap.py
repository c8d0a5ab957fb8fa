"""How far a number of a set of pictures can be trusted: as many pictures drawn anew from the set, many times.

Efron (1979), percentile intervals. A set is drawn as how often each of its pictures counts. Axes: N pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DRAWS = 500
FEW = 500  # pictures; with fewer an interval is printed
COVERED = 0.95  # share of the draws between the two ends


class Statistic(NamedTuple):
    """A number of a set of pictures that can be computed of any draw of them.

    Args:
        n: N.
        value: (N,) how often each picture counts, to the number.
    """

    n: int
    value: Callable[[np.ndarray], float]

    @property
    def of_all(self) -> float:
        """The number of all pictures, each once."""
        return self.value(np.ones(self.n))


def mean_of(values_N: np.ndarray) -> Statistic:
    """The mean of a number of each picture; NaN is that of a picture that does not count; 0 where none counts.

    Example:
        >>> mean_of(np.array([0.0, 1.0, np.nan])).of_all
        0.5
    """
    values = np.asarray(values_N, np.float64)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    return Statistic(len(values), lambda counts: float(counts @ filled / max(1e-12, counts @ known)))


def interval(statistic: Statistic, draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """Two ends between which COVERED of the numbers of redrawn sets lie.

    Args:
        statistic: of N pictures.
        draws: redrawn sets.
        seed: of the draws.
    """
    n = max(1, statistic.n)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws).astype(np.float64)
    low, high = np.quantile([statistic.value(counts[: statistic.n]) for counts in drawn], [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)
