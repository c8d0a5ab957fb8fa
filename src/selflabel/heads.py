"""FEATURE TO SCORES: many heads side by side, each with its own number of labels, as one matrix product."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.assignment.kmeans import centre_log_probs, kmeans, nearest_centre, round_variance


class Heads(nn.Module):
    """Heads whose sizes may change up to `most` labels each; None: as many as they have.

    Scores are computed at the widest and cut, unless a head can be computed by itself for nothing.
    """

    def __init__(self, head_sizes: list[int], most: list[int] | None = None):
        super().__init__()
        self.head_sizes, self.most = list(head_sizes), list(most or head_sizes)
        self.widest = max(self.most)

    def cut(self, scores_BHK: Tensor) -> list[Tensor]:
        return [scores_BHK[:, h, :k] for h, k in enumerate(self.head_sizes)]


class LinearHeads(Heads):
    """One linear layer a head, all of them one product.

    Example:
        >>> heads = LinearHeads(16, [3, 5])
        >>> [tuple(s.shape) for s in heads(torch.zeros(2, 16))]
        [(2, 3), (2, 5)]
    """

    def __init__(self, dim: int, head_sizes: list[int], most: list[int] | None = None):
        super().__init__(head_sizes, most)
        self.linear = nn.Linear(dim, sum(self.most))

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        return [s[:, :k] for s, k in zip(self.linear(features_BD).split(self.most, dim=1), self.head_sizes)]

    def of(self, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, D), bias (K,)) of one head."""
        first = sum(self.most[:head])
        rows = slice(first, first + self.head_sizes[head])
        return self.linear.weight[rows], self.linear.bias[rows]


class MLPHeads(Heads):
    """One hidden layer a head: linear, batch norm, ReLU, linear; the outputs are one batched product.

    dropout: share of the features, and of the hidden layer, that is blanked while training. cosine: scores are cosines of the
    hidden layer to the labels' directions.
    """

    def __init__(
        self,
        dim: int,
        head_sizes: list[int],
        hidden: int = 128,
        most: list[int] | None = None,
        dropout: float = 0.0,
        cosine: bool = False,
    ):
        super().__init__(head_sizes, most)
        n, self.dropout, self.cosine = len(head_sizes), dropout, cosine
        self.hidden = nn.Linear(dim, n * hidden)
        self.norm = nn.BatchNorm1d(n * hidden)
        self.weight = nn.Parameter(torch.randn(n, hidden, self.widest) / hidden**0.5)
        if not cosine:
            self.bias = nn.Parameter(torch.zeros(n, 1, self.widest))

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        hidden = self.blanked(F.relu(self.norm(self.hidden(self.blanked(features_BD)))))
        split = hidden.view(len(hidden), len(self.head_sizes), -1).transpose(0, 1)
        if self.cosine:
            return self.cut((F.normalize(split, dim=2) @ F.normalize(self.weight, dim=1)).transpose(0, 1))
        return self.cut(torch.baddbmm(self.bias, split, self.weight).transpose(0, 1))

    def blanked(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def of(self, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, hidden), bias (K,)) of one head's last layer."""
        K = self.head_sizes[head]
        return self.weight[head, :, :K].T, self.bias[head, 0, :K]


class Prototypes(Heads):
    """Cosines to learned directions, which are at unit length; features come at unit length."""

    def __init__(self, dim: int, head_sizes: list[int]):
        super().__init__(head_sizes)
        self.weight = nn.Parameter(torch.randn(len(head_sizes), self.widest, dim) / dim**0.5)

    def forward(self, features_BD: Tensor, fixed: bool = False) -> list[Tensor]:
        """fixed: the directions do not learn from this."""
        weight = F.normalize(self.weight.detach() if fixed else self.weight, dim=2)
        return self.cut(torch.einsum("bd,hkd->bhk", features_BD, weight))


class Projector(nn.Sequential):
    """Two layers with batch norm and ReLU between, from which a contrast or prototypes are read."""

    def __init__(self, dim: int, hidden: int, out: int):
        super().__init__(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out))


def from_mean(features_BD: Tensor, mean_D: Tensor) -> Tensor:
    """(B, D) at unit length, seen from the mean: a network's features are never negative, and from nought all look alike."""
    return F.normalize(features_BD.float() - mean_D, dim=1)


class Centres(nn.Module):
    """Centres that k-means found from several starts, with which a method ends that learns features and no labels.

    Every start is a head; `fit` says which is the tightest, without truth.

    directions: features are seen as directions from their mean.
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
        """Find the centres; the start whose items lie nearest to theirs."""
        starts, K, _ = self.centres_SKD.shape
        self.mean_D = features_ND.float().mean(dim=0)
        x = self.seen(features_ND)
        found = [kmeans(x, K, seed=seed * 1009 + s, turns=50, spherical=spherical)[0] for s in range(starts)]
        self.centres_SKD = torch.stack(found).to(x)
        spread = [float(nearest_centre(x, centres)[1].mean()) for centres in self.centres_SKD]
        best = min(range(starts), key=lambda s: spread[s])
        self.variance.fill_(max(round_variance(x, self.centres_SKD[best]), 1e-9))
        return best

    def seen(self, features_BD: Tensor) -> Tensor:
        return from_mean(features_BD, self.mean_D) if self.directions else features_BD

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        """Log-probabilities (B, K) a start."""
        x = self.seen(features_BD)
        return [centre_log_probs(x, centres, self.variance) for centres in self.centres_SKD]
