"""FEATURE TO SCORES: many heads side by side, each with its own number of labels, computed as one matrix product.

Axes: B items of a batch, N items, D features, H heads, K labels, S starts of k-means.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.assignment.kmeans import centre_log_probs, isotropic_variance, kmeans, nearest_centre


class Heads(nn.Module):
    """The base of heads whose numbers of labels may change.

    Args:
        head_sizes: labels of each head now.
        max_sizes: labels that each head may grow to; None is `head_sizes`.
    """

    def __init__(self, head_sizes: list[int], max_sizes: list[int] | None = None):
        super().__init__()
        self.head_sizes, self.max_sizes = list(head_sizes), list(max_sizes or head_sizes)
        self.widest = max(self.max_sizes)

    def trim(self, scores_BHK: Tensor) -> list[Tensor]:
        """(B, K) of each head, from scores computed at the width of the widest head."""
        return [scores_BHK[:, h, :k] for h, k in enumerate(self.head_sizes)]


class LinearHeads(Heads):
    """Linear heads, all of them one product.

    Args:
        dim: length of the features.
        head_sizes, max_sizes: as in `Heads`.

    Example:
        >>> heads = LinearHeads(16, [3, 5])
        >>> [tuple(s.shape) for s in heads(torch.zeros(2, 16))]
        [(2, 3), (2, 5)]
    """

    def __init__(self, dim: int, head_sizes: list[int], max_sizes: list[int] | None = None):
        super().__init__(head_sizes, max_sizes)
        self.linear = nn.Linear(dim, sum(self.max_sizes))

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        """Scores (B, K) of each head."""
        return [s[:, :k] for s, k in zip(self.linear(features_BD).split(self.max_sizes, dim=1), self.head_sizes)]

    def weight_and_bias(self, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, D), bias (K,)) of one head."""
        first = sum(self.max_sizes[:head])
        rows = slice(first, first + self.head_sizes[head])
        return self.linear.weight[rows], self.linear.bias[rows]


class MLPHeads(Heads):
    """Heads with one hidden layer each: linear, batch norm, ReLU, linear. The outputs are one batched product.

    Args:
        dim: length of the features.
        head_sizes, max_sizes: as in `Heads`.
        hidden: width of a head's hidden layer.
        dropout: probability of zeroing an entry of the features, and of the hidden layer, in training.
        cosine: scores are cosines between the hidden layer and the labels' directions, without a bias.
    """

    def __init__(
        self,
        dim: int,
        head_sizes: list[int],
        hidden: int = 128,
        max_sizes: list[int] | None = None,
        dropout: float = 0.0,
        cosine: bool = False,
    ):
        super().__init__(head_sizes, max_sizes)
        n, self.dropout, self.cosine = len(head_sizes), dropout, cosine
        self.hidden = nn.Linear(dim, n * hidden)
        self.norm = nn.BatchNorm1d(n * hidden)
        self.weight = nn.Parameter(torch.randn(n, hidden, self.widest) / hidden**0.5)
        if not cosine:
            self.bias = nn.Parameter(torch.zeros(n, 1, self.widest))

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        """Scores (B, K) of each head."""
        hidden = self.drop(F.relu(self.norm(self.hidden(self.drop(features_BD)))))
        hidden_HBD = hidden.view(len(hidden), len(self.head_sizes), -1).transpose(0, 1)
        if self.cosine:
            return self.trim((F.normalize(hidden_HBD, dim=2) @ F.normalize(self.weight, dim=1)).transpose(0, 1))
        return self.trim(torch.baddbmm(self.bias, hidden_HBD, self.weight).transpose(0, 1))

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def weight_and_bias(self, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, hidden), bias (K,)) of one head's last layer."""
        K = self.head_sizes[head]
        return self.weight[head, :, :K].T, self.bias[head, 0, :K]


class Prototypes(Heads):
    """Cosines to learned directions (SwAV, section 3.1).

    Args:
        dim: length of the features, which come at unit length.
        head_sizes: prototypes of each head.
    """

    def __init__(self, dim: int, head_sizes: list[int]):
        super().__init__(head_sizes)
        self.weight = nn.Parameter(torch.randn(len(head_sizes), self.widest, dim) / dim**0.5)

    def forward(self, features_BD: Tensor, frozen: bool = False) -> list[Tensor]:
        """Scores (B, K) of each head; with `frozen` the prototypes get no gradient."""
        weight = F.normalize(self.weight.detach() if frozen else self.weight, dim=2)
        return self.trim(torch.einsum("bd,hkd->bhk", features_BD, weight))


class Projector(nn.Sequential):
    """Two layers with batch norm and ReLU between, before a contrastive loss or prototypes."""

    def __init__(self, dim: int, hidden: int, out: int):
        super().__init__(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))


@torch.no_grad()
def momentum_update(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move a momentum copy towards its original (He et al., 2020, equation 2). Buffers, as batch statistics, are copied.

    Args:
        slow: the copy, changed in place.
        fast: the original.
        momentum: share of the copy's parameters that is kept, 0 to 1.
    """
    for a, b in zip(slow.parameters(), fast.parameters()):
        a.lerp_(b, 1 - momentum)
    for old, new in zip(slow.buffers(), fast.buffers()):
        old.copy_(new)


def centred_directions(features_BD: Tensor, mean_D: Tensor) -> Tensor:
    """(B, D) features minus their mean, at unit length: after a ReLU no feature is negative, so raw directions are all alike."""
    return F.normalize(features_BD.float() - mean_D, dim=1)


class Centres(nn.Module):
    """K-means centres from several starts, for methods that learn features and no labels. Each start is a head.

    Args:
        K: clusters.
        dim: length of the features.
        starts: runs of k-means.
        directions: cluster the directions of the features from their mean, at unit length.
    """

    centres_SKD: Tensor
    mean_D: Tensor
    variance: Tensor

    def __init__(self, K: int, dim: int, starts: int = 5, directions: bool = False):
        super().__init__()
        self.directions = directions
        self.register_buffer("mean_D", torch.zeros(dim))
        self.register_buffer("centres_SKD", torch.zeros(starts, K, dim))
        self.register_buffer("variance", torch.ones(()))

    def fit(self, features_ND: Tensor, seed: int, spherical: bool = False) -> int:
        """Find the centres.

        Args:
            features_ND: (N, D).
            seed: of the starts.
            spherical: k-means by cosine.

        Returns:
            The start of the lowest mean distance between items and their centres.
        """
        starts, K, _ = self.centres_SKD.shape
        self.mean_D = features_ND.float().mean(dim=0)
        x = self.transform(features_ND)
        centres = [kmeans(x, K, seed=seed * 1009 + s, max_iter=50, spherical=spherical)[0] for s in range(starts)]
        self.centres_SKD = torch.stack(centres).to(x)
        distances = [float(nearest_centre(x, centres)[1].mean()) for centres in self.centres_SKD]
        best = min(range(starts), key=lambda s: distances[s])
        self.variance.fill_(max(isotropic_variance(x, self.centres_SKD[best]), 1e-9))
        return best

    def transform(self, features_BD: Tensor) -> Tensor:
        """Features as k-means gets them."""
        return centred_directions(features_BD, self.mean_D) if self.directions else features_BD

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        """Log-probabilities (B, K) of each start."""
        x = self.transform(features_BD)
        return [centre_log_probs(x, centres, self.variance) for centres in self.centres_SKD]
