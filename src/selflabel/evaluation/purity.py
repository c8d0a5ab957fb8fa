"""How pure each cluster is, and a picture of it: histograms of the share of the largest class and of the entropy of classes
within clusters (SeLaVi, section 4.1 and figure of its talk).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.assignment.alignment import contingency
from selflabel.evaluation.metrics import Labels, encode_labels, entropy

BINS = 20


def cluster_purities(truth: Labels, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """Purity and entropy of every cluster that has items.

    Args:
        truth, labels: N classes and N labels of any type.

    Returns:
        (K,) share of the largest class, in [0, 1], and (K,) entropy of the classes in nats; clusters in sorted order.

    Example:
        >>> purity, entropies = cluster_purities(["a", "a", "b", "b"], [0, 0, 0, 1])
        >>> purity.round(2).tolist(), entropies.round(2).tolist()
        ([0.67, 1.0], [0.64, 0.0])
    """
    table = contingency(encode_labels(truth), encode_labels(labels)).astype(float)
    return table.max(axis=0) / table.sum(axis=0), np.array([abs(entropy(column)) for column in table.T])


def plot_purities(truth: Labels, labels: Labels) -> Any:
    """A matplotlib figure of both histograms, with their means and the values of one cluster of all items."""
    from matplotlib.figure import Figure

    purity, entropies = cluster_purities(truth, labels)
    one_purity, one_entropy = cluster_purities(truth, np.zeros(len(labels), int))
    largest_entropy = max(float(one_entropy[0]), float(entropies.max()), 1e-3)
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_histogram(left, purity, float(one_purity[0]), 1.0, "share of the largest class")
    plot_histogram(right, entropies, float(one_entropy[0]), largest_entropy, "entropy, nats")
    left.set_ylabel("clusters")
    return figure


def plot_histogram(axis: Any, values: np.ndarray, of_one_cluster: float, top: float, title: str) -> None:
    axis.hist(values, bins=BINS, range=(0, top), color="#1f5fa8")
    axis.axvline(values.mean(), color="#c0562b", label=f"mean {values.mean():.2f}")
    axis.axvline(of_one_cluster, color="grey", linestyle=":", label=f"all in one {of_one_cluster:.2f}")
    axis.set_xlabel(title)
    axis.legend(fontsize=8)
