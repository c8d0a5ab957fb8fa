"""Agglomerative clustering: the two nearest clusters are merged until K are left, by average linkage or Ward's.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.methods.label.baselines.voted import Voted, check_pairs_fit
from selflabel.pretexts import AnyPretextName

PAIR_BYTES = 16  # distances of all pairs in float32, and of half of them in float64, three times


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class MergingOptions:
    """Options of agglomerative clustering.

    Attributes:
        linkage: which clusters are nearest: those of the smallest mean distance ("average"), or whose merge adds least to the
            squared distances from the means ("ward").
        pretext: what an encoder learns first; None uses first features. Given or pretrained features are used as they are.
        text: encoder of captions for pretext=milnce, as hf:FOLDER; None takes the sound.
    """

    linkage: Literal["average", "ward"] = "average"
    pretext: AnyPretextName | None = None
    text: str | None = None


class Agglomerative(Voted):
    """Clusters merged from single items, by the distances of features of unit length."""

    options_type = MergingOptions

    def build(self, encoders: nn.ModuleDict) -> None:
        check_pairs_fit("agglomerative", self.task.n_items, PAIR_BYTES)
        super().build(encoders)

    def transform(self, features: Tensor) -> Tensor:
        return F.normalize(features.float(), dim=1)

    def cluster(self, x_ND: Tensor) -> Tensor:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        if len(x_ND) == 1:
            return torch.zeros(1, dtype=torch.int64)
        distances = squareform(torch.cdist(x_ND, x_ND).cpu().numpy(), checks=False)
        tree = linkage(distances, self.options.linkage)
        return torch.from_numpy(fcluster(tree, self.clusters, "maxclust")).long() - 1
