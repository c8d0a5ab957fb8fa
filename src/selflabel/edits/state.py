"""A labelling as edits left it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

REJECTED = -1


@dataclass
class Edited:
    """A labelling as edits left it.

    under: (N,) int32, the cluster that each item has or, once rejected, had. rejected: (N,) bool. names: of the clusters that
    have one. clusters: every cluster there is, in order; one that lost its last item stays until it is merged. used: every number
    that was ever a cluster's.
    """

    under: np.ndarray
    rejected: np.ndarray
    names: dict[int, str] = field(default_factory=dict)
    clusters: list[int] = field(default_factory=list)
    used: set[int] = field(default_factory=set)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int32; -1 for a rejected item."""
        return np.where(self.rejected, np.int32(REJECTED), self.under)

    def copy(self) -> Edited:
        return Edited(self.under.copy(), self.rejected.copy(), dict(self.names), list(self.clusters), set(self.used))

    def add(self, clusters: Iterable[int]) -> None:
        self.clusters = sorted({*self.clusters, *clusters})
        self.used.update(clusters)


def unedited(labels_N: np.ndarray, clusters: Iterable[int] | None = None) -> Edited:
    """The labelling as the run wrote it; `clusters` where some of them may be empty."""
    under = np.array(labels_N, np.int32)
    known = sorted({*(np.unique(under) if clusters is None else clusters)} - {REJECTED})
    return Edited(under, under == REJECTED, {}, [int(c) for c in known], {int(c) for c in known})
