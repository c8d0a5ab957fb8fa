"""A labelling with edits applied. N items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

REJECTED = -1  # the label of a rejected item


@dataclass
class EditedLabels:
    """A labelling with edits applied.

    Attributes:
        item_clusters: (N,) int32, each item's cluster; of a rejected item the one that it had.
        rejected: (N,) bool.
        names: cluster to its name, of those that have one.
        clusters: all clusters in ascending order; one that lost its last item stays until it is merged.
        used_numbers: every number that was ever a cluster's.
    """

    item_clusters: np.ndarray
    rejected: np.ndarray
    names: dict[int, str] = field(default_factory=dict)
    clusters: list[int] = field(default_factory=list)
    used_numbers: set[int] = field(default_factory=set)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int32 cluster of each item; -1 for a rejected item."""
        return np.where(self.rejected, np.int32(REJECTED), self.item_clusters)

    def copy(self) -> EditedLabels:
        """A copy that can be changed without changing this one."""
        arrays = self.item_clusters.copy(), self.rejected.copy()
        return EditedLabels(*arrays, dict(self.names), list(self.clusters), set(self.used_numbers))

    def add_clusters(self, clusters: Iterable[int]) -> None:
        """Add clusters that are not there yet."""
        self.clusters = sorted({*self.clusters, *clusters})
        self.used_numbers.update(clusters)


def unedited_labels(
    labels_N: np.ndarray, clusters: Iterable[int] | None = None, outliers: np.ndarray | None = None
) -> EditedLabels:
    """A labelling without any edit.

    Args:
        labels_N: (N,) integers; -1 for a rejected item.
        clusters: all there are, where some may have no items; those of `labels_N` where it is left out.
        outliers: (N,) bool, items that are rejected from the start; None for none.
    """
    item_clusters = np.array(labels_N, np.int32)
    numbers = sorted({*(np.unique(item_clusters) if clusters is None else clusters)} - {REJECTED})
    rejected = item_clusters == REJECTED if outliers is None else np.array(outliers, bool)
    return EditedLabels(item_clusters, rejected, {}, [int(c) for c in numbers], {int(c) for c in numbers})
