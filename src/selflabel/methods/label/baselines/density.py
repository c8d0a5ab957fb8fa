"""Density clusters of the features: HDBSCAN (Campello et al., 2013).

K is an upper bound: the largest clusters are kept, and other items and noise go to the nearest.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from selflabel.assignment.kmeans import nearest_centre
from selflabel.methods.label.baselines.voted import Voted, check_pairs_fit

MIN_SHARE = 0.2  # of an equal share of the items: the smallest cluster
PAIR_BYTES = 16  # distances and reachabilities


class Hdbscan(Voted):
    """Density clusters of the features."""

    def build(self, encoders: nn.ModuleDict) -> None:
        check_pairs_fit("hdbscan", self.task.n_items, PAIR_BYTES)
        super().build(encoders)

    def cluster(self, x_ND: Tensor) -> Tensor:
        return density_clusters(x_ND.cpu(), self.clusters, "brute")  # trees do not help in many dimensions


def density_clusters(x_ND: Tensor, K: int, algorithm: str = "auto") -> Tensor:
    """At most K clusters of at least a fifth of an equal share of the items.

    Args:
        x_ND: (N, D) items, on the CPU.
        K: most clusters.
        algorithm: of scikit-learn's HDBSCAN.

    Returns:
        (N,) labels. Noise goes to the nearest cluster.
    """
    from sklearn.cluster import HDBSCAN

    n, smallest = len(x_ND), max(2, round(MIN_SHARE * len(x_ND) / K))
    if n <= smallest or n < 2 * K:
        return torch.zeros(n, dtype=torch.int64)
    labels = HDBSCAN(min_cluster_size=smallest, algorithm=algorithm, copy=True).fit_predict(x_ND.numpy())
    return assign_rest(x_ND, torch.from_numpy(labels).long(), K)


def assign_rest(x_ND: Tensor, labels_N: Tensor, K: int) -> Tensor:
    """Keep the K largest clusters, in the order of their sizes, and assign the other items to the nearest mean.

    Args:
        x_ND: (N, D) items.
        labels_N: (N,) clusters; -1 for noise. Where all is noise, all items get label 0.
        K: clusters to keep.

    Example:
        >>> x = torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [4.0]])
        >>> assign_rest(x, torch.tensor([4, 4, 4, 2, 2, -1]), 2).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    sizes = torch.bincount(labels_N[labels_N >= 0], minlength=1)
    kept = [k for k in sizes.argsort(descending=True, stable=True).tolist()[:K] if sizes[k] > 0]
    if not kept:
        return torch.zeros_like(labels_N)
    means = torch.stack([x_ND[labels_N == k].mean(dim=0) for k in kept])
    labels = nearest_centre(x_ND, means)[0]
    for new, old in enumerate(kept):
        labels[labels_N == old] = new
    return labels
