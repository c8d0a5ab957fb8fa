"""Baselines that label the items of a set and have no model of unseen ones: these get a vote of their nearest labelled items.

Axes: N items, B items of a block, D features, K labels.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.base.memory import free_host_memory
from selflabel.contract import Data, Features, Outcome, Prediction
from selflabel.methods.label.baselines.base import Baseline

VOTES = 10  # labelled items that vote on an unseen one


class Voted(Baseline):
    """Labels of a set; unseen items are labelled by a vote of their nearest labelled items."""

    features_ND: Tensor
    labels_N: Tensor

    def build(self, encoders: nn.ModuleDict) -> None:
        super().build(encoders)
        self.register_buffer("features_ND", torch.zeros(1, self.width))
        self.register_buffer("labels_N", torch.zeros(1, dtype=torch.int64))

    @abstractmethod
    def cluster(self, x_ND: Tensor) -> Tensor:
        """(N,) labels of the items with these features."""

    def transform(self, features: Tensor) -> Tensor:
        """The features that are clustered and compared."""
        return features.float()

    def predict(self, features: Features) -> Prediction:
        return Prediction([self.votes(self.transform(self.clustered(features))).clamp(min=1e-6).log()])

    def votes(self, x_BD: Tensor) -> Tensor:
        """(B, K) shares of the nearest labelled items that have each label."""
        shares = []
        for x in x_BD.split(1024):
            nearest = torch.cdist(x, self.features_ND).topk(min(VOTES, len(self.features_ND)), largest=False).indices
            shares.append(F.one_hot(self.labels_N[nearest], self.clusters).float().mean(dim=1))
        return torch.cat(shares)

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        x = self.transform(self.all_clustered(data))
        self.features_ND, self.labels_N = x, self.cluster(x).to(x.device)
        share = self.votes(x).clamp(min=1e-6)
        rows = (share + F.one_hot(self.labels_N, self.clusters)) / 2  # an item votes for its own label
        return Outcome([self.labels_N], 0, (rows / rows.sum(dim=1, keepdim=True)).half(), {"mass": "as found"})


def check_pairs_fit(method: str, n: int, bytes_per_pair: int) -> None:
    """Refuse a set of which the pairs do not fit the memory.

    Args:
        method: its name, for the sentence.
        n: items.
        bytes_per_pair: that the method needs for each ordered pair.

    Raises:
        UserError: they do not fit.
    """
    needed, free = n * n * bytes_per_pair, free_host_memory()
    if needed > free:
        raise UserError(
            f"--method {method}: compares all pairs of the {n:,} items, for which it needs {needed / 1e9:,.1f} GB of memory, of "
            f"which {free / 1e9:,.1f} GB are free; label fewer items, or take --method spectral."
        )
