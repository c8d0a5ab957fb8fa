"""Nearest centre: k-means, and its spherical form, on faiss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def kmeans(
    features_ND: Tensor, K: int, seed: int, turns: int = 25, restarts: int = 1, spherical: bool = False
) -> tuple[Tensor, Tensor]:
    """Cluster rows into K centres.

    Args:
        features_ND: (N, D) floats.
        K: centres; with fewer distinct items some centres coincide.
        seed: of the first centres.
        turns, restarts: Lloyd turns a start, and starts, of which the best is kept.
        spherical: centres on the unit sphere.

    Returns:
        (centres (K, D) float32, labels (N,) int64), on the CPU.

    Source: Johnson et al., 2019 (faiss).
    """
    import faiss

    x = np.ascontiguousarray(features_ND.detach().float().cpu().numpy())
    if len(x) <= K:  # faiss refuses more centres than items
        centres = np.concatenate([x, np.repeat(x[-1:], K - len(x), axis=0)])
        return torch.from_numpy(centres), torch.arange(len(x))
    options = {"niter": turns, "nredo": restarts, "seed": seed % (1 << 31), "spherical": spherical}
    clustering = faiss.Kmeans(x.shape[1], K, min_points_per_centroid=1, max_points_per_centroid=256, **options)
    clustering.train(x)
    labels = clustering.index.search(x, 1)[1][:, 0]
    return torch.from_numpy(np.array(clustering.centroids)), torch.from_numpy(labels.astype(np.int64))
