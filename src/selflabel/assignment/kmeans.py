"""K-means, plain and spherical, by faiss; what follows from its centres; and the whitening that DeepCluster puts before it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MAX_POINTS_PER_CENTRE = 10_000  # rows that centres are learned from, per centre
FEWEST_POINTS = 256  # of a centre, where centres are learned from a sample (the default of faiss)


def kmeans(
    features_ND: Tensor,
    K: int,
    seed: int,
    max_iter: int = 25,
    n_init: int = 1,
    spherical: bool = False,
    max_rows: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Cluster rows around K centres.

    Args:
        features_ND: (N, D) floats.
        K: number of centres; with fewer distinct items some centres coincide.
        seed: of the first centres.
        max_iter: Lloyd iterations of each start.
        n_init: starts, the best of which is kept.
        spherical: whether centres are on the unit sphere.
        max_rows: rows that centres are learned from, at most, and at least 256 a centre; None is 10,000 a centre.

    Returns:
        Centres (K, D) float32 and labels (N,) int64, on the CPU.

    Source: Johnson et al., 2019 (faiss).
    """
    import faiss

    x = np.ascontiguousarray(features_ND.detach().float().cpu().numpy())
    if len(x) <= K:  # faiss refuses more centres than items
        centres = np.concatenate([x, np.repeat(x[-1:], K - len(x), axis=0)])
        _, first, same = np.unique(x, axis=0, return_index=True, return_inverse=True)  # equal items share a label
        return torch.from_numpy(centres), torch.from_numpy(first[same.reshape(-1)].astype(np.int64))
    options = {"niter": max_iter, "nredo": n_init, "seed": seed % (1 << 31), "spherical": spherical}
    most = MAX_POINTS_PER_CENTRE if max_rows is None else max(FEWEST_POINTS, max_rows // K)
    limits = {"min_points_per_centroid": 1, "max_points_per_centroid": most}
    clustering = faiss.Kmeans(x.shape[1], K, **limits, **options)
    clustering.train(x)
    labels = clustering.index.search(x, 1)[1][:, 0]
    return torch.from_numpy(np.array(clustering.centroids)), torch.from_numpy(labels.astype(np.int64))


def whitening(features_ND: Tensor, max_dims: int = 256) -> tuple[Tensor, Tensor]:
    """The whitening transform of these rows: `(x - mean) @ basis` has unit variance in every column.

    Directions without variance are mapped to zero, so the result has d columns whatever the rank. Computed in float64.

    Args:
        features_ND: (N, D) floats.
        max_dims: most principal directions that are kept.

    Returns:
        mean (D,) and basis (D, d), d = min(max_dims, D), float32.
    """
    x = features_ND.double()
    mean = x.mean(dim=0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    values, vectors = values.flip(0)[:max_dims], vectors.flip(1)[:, :max_dims]
    has_variance = values > 1e-9 * values[0].clamp(min=1e-30)
    scale = torch.where(has_variance, values.clamp(min=1e-30).rsqrt(), 0.0)
    return mean.float(), (vectors * scale).float()


def whiten(features_ND: Tensor, mean_D: Tensor, basis_Dd: Tensor) -> Tensor:
    """Rows (N, d) whitened by the transform from `whitening` and scaled to unit length (DeepCluster, section 4.1).

    Example:
        >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 0.5], [0.0, -0.5]])
        >>> whiten(x, *whitening(x)).abs().round(decimals=3).tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    return torch.nn.functional.normalize((features_ND.float() - mean_D) @ basis_Dd, dim=1)


def squared_distances(x_ND: Tensor, centres_KD: Tensor) -> Tensor:
    """(N, K) squared Euclidean distances of rows to centres."""
    centres = centres_KD.to(x_ND)
    return torch.cdist(x_ND, centres).square()


def nearest_centre(x_ND: Tensor, centres_KD: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's nearest centre (N,) int64, and its squared distance (N,)."""
    nearest = squared_distances(x_ND, centres_KD).min(dim=1)
    return nearest.indices, nearest.values


def centre_log_probs(x_ND: Tensor, centres_KD: Tensor, variance: Tensor | float) -> Tensor:
    """(N, K) log-probabilities of the centres, each an isotropic Gaussian of equal weight with this variance per dimension."""
    return torch.log_softmax(-squared_distances(x_ND, centres_KD) / (2 * variance), dim=1)


def isotropic_variance(x_ND: Tensor, centres_KD: Tensor) -> float:
    """The variance per dimension of rows about their nearest centres, as if spread evenly over the dimensions that matter.

    How many matter is the participation ratio of the covariance C about the centres, (tr C)^2 / tr C^2: features have many
    dimensions, but most of their directions hardly vary.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> x = torch.cat([2 * torch.randn(4000, 3, generator=g), torch.zeros(4000, 61)], dim=1)
        >>> round(isotropic_variance(x, torch.zeros(1, 64)))
        4
    """
    offsets = (x_ND - centres_KD.to(x_ND)[nearest_centre(x_ND, centres_KD)[0]]).double()
    covariance = offsets.T @ offsets / len(offsets)
    total = covariance.trace().clamp(min=1e-12)
    return float(covariance.square().sum() / total)
