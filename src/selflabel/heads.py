"""FEATURE TO SCORES: many heads side by side, each with its own number of labels, as one matrix product."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Heads(nn.Module):
    """Heads of at most `widest` labels, computed at the widest and cut to their sizes, which may change."""

    def __init__(self, head_sizes: list[int], widest: int | None = None):
        super().__init__()
        self.head_sizes = list(head_sizes)
        self.widest = max([*head_sizes, widest or 0])

    def cut(self, scores_BHK: Tensor) -> list[Tensor]:
        return [scores_BHK[:, h, :k] for h, k in enumerate(self.head_sizes)]


class LinearHeads(Heads):
    """One linear layer a head, all of them one product.

    Example:
        >>> heads = LinearHeads(16, [3, 5])
        >>> [tuple(s.shape) for s in heads(torch.zeros(2, 16))]
        [(2, 3), (2, 5)]
    """

    def __init__(self, dim: int, head_sizes: list[int], widest: int | None = None):
        super().__init__(head_sizes, widest)
        self.linear = nn.Linear(dim, len(head_sizes) * self.widest)

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        return self.cut(self.linear(features_BD).view(len(features_BD), -1, self.widest))

    def of(self, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, D), bias (K,)) of one head."""
        rows = slice(head * self.widest, head * self.widest + self.head_sizes[head])
        return self.linear.weight[rows], self.linear.bias[rows]


class MLPHeads(Heads):
    """One hidden layer a head: linear, batch norm, ReLU, linear; the outputs are one batched product."""

    def __init__(self, dim: int, head_sizes: list[int], hidden: int = 128, widest: int | None = None):
        super().__init__(head_sizes, widest)
        n = len(head_sizes)
        self.hidden = nn.Linear(dim, n * hidden)
        self.norm = nn.BatchNorm1d(n * hidden)
        self.weight = nn.Parameter(torch.randn(n, hidden, self.widest) / hidden**0.5)
        self.bias = nn.Parameter(torch.zeros(n, 1, self.widest))

    def forward(self, features_BD: Tensor) -> list[Tensor]:
        hidden = F.relu(self.norm(self.hidden(features_BD)))
        split = hidden.view(len(hidden), len(self.head_sizes), -1).transpose(0, 1)
        return self.cut(torch.baddbmm(self.bias, split, self.weight).transpose(0, 1))
