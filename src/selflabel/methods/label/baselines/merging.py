"""Agglomerative clustering: the two nearest clusters are merged until K are left, by average linkage or Ward's, by scikit-learn.

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
from selflabel.pretexts import PretextName

PAIR_BYTES = 8  # half of the pairs, in float64, twice


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class MergingOptions:
    """Options of agglomerative clustering.

    Attributes:
        linkage: which clusters are nearest: those of the smallest mean distance ("average"), or whose merge adds least to the
            squared distances from the means ("ward").
        pretext: what an encoder learns first; None uses first features. Given or pretrained features are used as they are.
    """

    linkage: Literal["average", "ward"] = "average"
    pretext: PretextName | None = None


class Agglomerative(Voted):
    """Clusters merged from single items, by the distances of features of unit length."""

    options_type = MergingOptions

    def build(self, encoders: nn.ModuleDict) -> None:
        check_pairs_fit("agglomerative", self.task.n_items, PAIR_BYTES)
        super().build(encoders)

    def transform(self, features: Tensor) -> Tensor:
        return F.normalize(features.float(), dim=1)

    def cluster(self, x_ND: Tensor) -> Tensor:
        from sklearn.cluster import AgglomerativeClustering

        if len(x_ND) == 1:  # scikit-learn needs two items
            return torch.zeros(1, dtype=torch.int64)
        model = AgglomerativeClustering(self.clusters, linkage=self.options.linkage)
        return torch.from_numpy(model.fit_predict(x_ND.cpu().numpy())).long()
