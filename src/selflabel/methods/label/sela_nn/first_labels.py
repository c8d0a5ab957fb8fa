"""What the heads start from: neighbours in first features, and labels by k-means, walks or, on small sets, the best k-means.

Axes: N items, D features, K labels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.assignment import marginals
from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.neighbours import PROJECT_TO, concatenate_modalities, project
from selflabel.contract import Data, Features
from selflabel.methods.label.sela_nn import candidates, numbers, small
from selflabel.methods.label.sela_nn.solving import SolvedHeads


class FirstLabels(SolvedHeads):
    """Heads that are given their first labels."""

    def first_labels(self, data: Data, generator: torch.Generator) -> None:
        """Find neighbours, and give first labels: k-means of smoothed features. On given features the heads of K labels start
        from k-means of walk directions, because fixed features get no better neighbours later.
        """
        x = self.first_neighbours(data)
        coarse = None
        if self.on_features and not self.is_small:
            directions = self.find_directions(x)
            if self.judges_labellings:
                self.start_relaxed_heads(x, directions)
            coarse = torch.from_numpy(directions)
            F.normalize(coarse, dim=1, out=coarse)
        smooth = self.smooth(x)
        started = {*self.relaxed_heads()} if self.judges_labellings else {self.anchor}
        for h, k in enumerate(self.head_sizes):
            start = smooth if coarse is None or h >= self.n_main else coarse.to(smooth)
            if h not in started:
                seed = self.task.seed * 1009 + h
                self.labels_HN[h] = kmeans(start, k, seed=seed, max_iter=10, max_rows=self.most_rows)[1].to(self.labels_HN)

    def first_neighbours(self, data: Data) -> Tensor:
        """Find neighbours. Returns (N, D) features of all modalities, of unit length each; of large sets few directions only."""
        first = {m: self.initial_features(data, m) for m in self.task.modalities}
        pooled = {m: F.normalize(x, dim=1) for m, x in first.items()}
        if small.is_small(self.task.n_items, self.clusters):
            self.start_small(next(iter(first.values())) if len(first) == 1 else concatenate_modalities(pooled, data.present))
        else:
            del first
            self.mine_neighbours(Features(pooled, data.present), groups_N=data.groups_N)
            self.judges_labellings = self.on_features and self.task.mass not in marginals.TITLES
        x = concatenate_modalities(pooled, data.present)
        return project(x, PROJECT_TO) if self.is_large else x

    def find_directions(self, x_ND: Tensor) -> np.ndarray:
        """(N, K) leading eigenvectors of the neighbour graph; where K is unknown, it is found before."""
        if self.judges_labellings and not self.knows_k:
            self.ranked_numbers = numbers.rank_numbers_of_clusters(x_ND, self.task.seed)
            self.set_n_clusters(self.ranked_numbers[0][0])
        return candidates.graph_directions(self.neighbours_Nk, self.clusters, self.task.seed)

    def start_relaxed_heads(self, x_ND: Tensor, directions_NK: np.ndarray) -> None:
        """Let the heads with relaxed masses start from labellings of any sizes, each with those sizes as its target."""
        starts = candidates.start_labellings(x_ND, self.neighbours_Nk, directions_NK, self.task.seed)
        self.starts_SN = torch.stack(starts).to(self.starts_SN)
        for i, h in enumerate(self.relaxed_heads()):
            self.replace_labels(h, 0.0, starts[i % len(starts)])

    def initial_features(self, data: Data, modality: str) -> Tensor:
        """(N, D): of the encoder where it knows something already, else first features."""
        pretrained = modality in self.taught or (modality == self.task.modality and self.task.pretrained)
        layer = "pooled" if pretrained or self.task.kind_of(modality) == "features" else "input"
        return data.features(modality, layer=layer)

    def start_small(self, x_ND: Tensor) -> None:
        """Find K if it is unknown, the neighbours, and the labels that the last head keeps."""
        self.is_small = True
        if not self.knows_k:
            self.set_n_clusters(small.number_of_clusters(x_ND, self.task.seed))
        most = self.options.neighbours or small.neighbours_within_class(self.task.n_items, self.clusters, self.plan.neighbours)
        self.neighbours_Nk = small.nearest_by_distance(x_ND, most).to(self.neighbours_Nk)
        if self.anchor is not None:
            self.labels_HN[self.anchor] = small.best_kmeans(x_ND, self.clusters, self.task.seed).to(self.labels_HN)
