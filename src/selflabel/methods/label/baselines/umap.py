"""Clusters of a UMAP embedding (McInnes et al., 2018): by k-means, or by density.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment.kmeans import kmeans, nearest_centre
from selflabel.methods.label.baselines.density import density_clusters
from selflabel.methods.label.baselines.voted import Voted

UMAP_DIMS, UMAP_NEIGHBOURS = 10, 15


class UmapBaseline(Voted):
    """Clusters of the 10 dimensions of a UMAP embedding."""

    @abstractmethod
    def cluster_embedding(self, embedding: Tensor) -> Tensor:
        """(N,) labels of the embedded items."""

    def cluster(self, x_ND: Tensor) -> Tensor:
        return self.cluster_embedding(umap_embedding(x_ND, self.task.seed))


def umap_embedding(x: Tensor, seed: int) -> Tensor:
    """(N, 10) UMAP embedding of features (N, D), or the features themselves where there are too few items."""
    if len(x) <= UMAP_NEIGHBOURS + 1 or not bool((x != x[:1]).any()):
        return x
    import warnings

    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed forbids threads
        model = umap.UMAP(n_components=UMAP_DIMS, n_neighbors=UMAP_NEIGHBOURS, min_dist=0.0, random_state=seed, init=umap_init(x))
        return torch.from_numpy(np.asarray(model.fit_transform(x.cpu().numpy()), np.float32))


def umap_init(x: Tensor) -> np.ndarray:
    """(N, 10) principal components to start UMAP from, because its spectral start fails on a graph that is not connected."""
    centred = (x - x.mean(dim=0)).double().cpu()
    _, _, directions = torch.linalg.svd(centred[:: max(1, len(x) // 5000)], full_matrices=False)
    start = F.pad(centred @ directions[:UMAP_DIMS].T, (0, max(0, UMAP_DIMS - min(centred.shape))))[:, :UMAP_DIMS]
    noise = np.random.default_rng(0).normal(size=start.shape)
    return (10 * start / start.abs().max().clamp(min=1e-12)).numpy().astype(np.float32) + 1e-4 * noise.astype(np.float32)


class UmapKMeans(UmapBaseline):
    """k-means of a UMAP embedding."""

    def cluster_embedding(self, embedding: Tensor) -> Tensor:
        seeds = [self.task.seed * 1009 + s for s in range(self.options.starts)]
        results = [kmeans(embedding, self.clusters, seed=seed, max_iter=50) for seed in seeds]
        return min(results, key=lambda pair: float(nearest_centre(embedding, pair[0])[1].mean()))[1]


class UmapHdbscan(UmapBaseline):
    """Density clusters of a UMAP embedding."""

    def cluster_embedding(self, embedding: Tensor) -> Tensor:
        return density_clusters(embedding, self.clusters)
