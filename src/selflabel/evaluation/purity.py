"""How pure each cluster is, and a picture of it: histograms of the largest class's share and of the entropy of classes within
clusters (SeLaVi, section 4.1 and figure of its talk).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.assignment.alignment import contingency
from selflabel.evaluation.metrics import codes, entropy


def purities(truth, labels) -> tuple[np.ndarray, np.ndarray]:
    """(share of the largest class, entropy of classes in nats) of every cluster that has items.

    Example:
        >>> pure, mixed = purities(["a", "a", "b", "b"], [0, 0, 0, 1])
        >>> pure.round(2).tolist(), mixed.round(2).tolist()
        ([0.67, 1.0], [0.64, 0.0])
    """
    table = contingency(codes(truth), codes(labels)).astype(float)
    return table.max(axis=0) / table.sum(axis=0), np.array([abs(entropy(column)) for column in table.T])


def drawn(truth, labels) -> Any:
    """A figure of both histograms, with their means and what one cluster of all items would have."""
    from matplotlib.figure import Figure

    pure, mixed = purities(truth, labels)
    one_pure, one_mixed = purities(truth, np.zeros(len(labels), int))
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    panels = zip(figure.subplots(1, 2), (pure, mixed), (one_pure, one_mixed), ("share of the largest class", "entropy, nats"))
    for axis, values, one, title in panels:
        top = 1.0 if values is pure else max(float(one[0]), float(values.max()), 1e-3)
        axis.hist(values, bins=20, range=(0, top), color="#1f5fa8")
        axis.axvline(values.mean(), color="#c0562b", label=f"mean {values.mean():.2f}")
        axis.axvline(one[0], color="grey", linestyle=":", label=f"all in one {one[0]:.2f}")
        axis.set_xlabel(title)
        axis.legend(fontsize=8)
    figure.axes[0].set_ylabel("clusters")
    return figure
