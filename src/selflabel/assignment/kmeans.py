"""Nearest centre: k-means, and its spherical form, on faiss; and the whitening that DeepCluster puts before it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MOST_POINTS = 10_000  # a centre, from which it is learned


def kmeans(
    features_ND: Tensor, K: int, seed: int, turns: int = 25, restarts: int = 1, spherical: bool = False
) -> tuple[Tensor, Tensor]:
    """Cluster rows into K centres.

    Args:
        features_ND: (N, D) floats.
        K: centres; with fewer distinct items some centres coincide.
        seed: of the first centres.
        turns, restarts: Lloyd turns a start, and starts, of which the best is kept. At most MOST_POINTS rows a centre are learned
            from.
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
    clustering = faiss.Kmeans(x.shape[1], K, min_points_per_centroid=1, max_points_per_centroid=MOST_POINTS, **options)
    clustering.train(x)
    labels = clustering.index.search(x, 1)[1][:, 0]
    return torch.from_numpy(np.array(clustering.centroids)), torch.from_numpy(labels.astype(np.int64))


def whitening(features_ND: Tensor, most: int = 256) -> tuple[Tensor, Tensor]:
    """What whitens these rows: (mean (D,), basis (D, d)), d = min(most, D); `(x - mean) @ basis` has unit variance a column.

    Directions without variance are given none, so d columns are had whatever the rank. Float64 inside.
    """
    x = features_ND.double()
    mean = x.mean(dim=0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    values, vectors = values.flip(0)[:most], vectors.flip(1)[:, :most]
    alive = values > 1e-9 * values[0].clamp(min=1e-30)
    scale = torch.where(alive, values.clamp(min=1e-30).rsqrt(), 0.0)
    return mean.float(), (vectors * scale).float()


def whitened(features_ND: Tensor, mean_D: Tensor, basis_Dd: Tensor) -> Tensor:
    """Rows whitened and brought to unit length (DeepCluster, section 4.1).

    Example:
        >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.5], [0.0, -0.5]])
        >>> whitened(x, *whitening(x)).abs().round(decimals=3).tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    return torch.nn.functional.normalize((features_ND.float() - mean_D) @ basis_Dd, dim=1)


def squared_distances(x_ND: Tensor, centres_KD: Tensor) -> Tensor:
    """(N, K)."""
    centres = centres_KD.to(x_ND)
    return torch.cdist(x_ND, centres).square()


def nearest_centre(x_ND: Tensor, centres_KD: Tensor) -> tuple[Tensor, Tensor]:
    """(label (N,), squared distance (N,)) of each row's nearest centre."""
    found = squared_distances(x_ND, centres_KD).min(dim=1)
    return found.indices, found.values


def centre_log_probs(x_ND: Tensor, centres_KD: Tensor, variance: Tensor | float) -> Tensor:
    """(N, K) log-probabilities of the centres under equal round Gaussians of this variance a dimension."""
    return torch.log_softmax(-squared_distances(x_ND, centres_KD) / (2 * variance), dim=1)


def round_variance(x_ND: Tensor, centres_KD: Tensor) -> float:
    """The variance a dimension of items about their nearest centres, if all of it lay evenly in as many dimensions as matter.

    How many matter is the participation ratio of the covariance C about the centres, (tr C)^2 / tr C^2: features are long, but
    most of their directions hardly vary.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> x = torch.cat([2 * torch.randn(4000, 3, generator=g), torch.zeros(4000, 61)], dim=1)
        >>> round(round_variance(x, torch.zeros(1, 64)))
        4
    """
    about = (x_ND - centres_KD.to(x_ND)[nearest_centre(x_ND, centres_KD)[0]]).double()
    covariance = about.T @ about / len(about)
    total = covariance.trace().clamp(min=1e-12)
    return float(covariance.square().sum() / total)
