"""DeepCluster: deep clustering for unsupervised learning of visual features (Caron, Bojanowski, Joulin & Douze, ECCV 2018).

The claim: k-means of the features of a network that still knows little are labels good enough to learn better features from. Two
steps alternate: features of all items are whitened and clustered (section 4.1), and the network learns the clusters by
cross-entropy through a head that is made anew, because a cluster has no name that lasts. Items are drawn uniformly over clusters,
or a few large clusters would be all that is learned (section 3.3).

`version=2` is DeepCluster-v2 (Caron et al., 2020, appendix): a projection of the features is clustered on the sphere, three times
with different starts, and the centres themselves are the heads, held fixed at a temperature.

What we do otherwise: of short features fewer directions are whitened, since the last ones are noise; without `--preset paper`
there are ten rounds, however many epochs, so that the network has time to learn what one says; features come from a pass over the
centre views in eval mode, where v2 keeps those of the last epoch; no Sobel filter; the paper transfers its features, here the
finished labelling is k-means into K of the features' directions.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans, whitened, whitening
from selflabel.contract import (
    Batch,
    Data,
    Final,
    Method,
    Phase,
    Prediction,
    Recipe,
    Relabelling,
    cosine,
    finished,
    scaled_epochs,
)
from selflabel.heads import Centres, LinearHeads, Projector

PAPER_EPOCHS, QUICK_EPOCHS = 200, 40
NARROWING, LEAST_WHITE = 16, 32  # of how many directions one is kept, and how many at least
QUICK_ROUNDS = 10
BATCH, TURNS = 256, 20  # items a batch; of Lloyd
LEAST_MEMBERS = 10  # of a cluster that is learned, on average
PROJECTED, HEADS, TEMPERATURE = 128, 3, 0.1  # of version 2


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """version: 1 or 2 (see the module's docstring). over: clusters learned from, in multiples of K; the finished labelling has K.
    rounds: of clustering, None is one an epoch with `--preset paper`, else ten. lr_scale: a factor on the learning rate.
    """

    version: Literal[1, 2] = 1
    over: float = 10.0
    rounds: int | None = None
    lr_scale: float = 1.0


class DeepCluster(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("clusters_HN",)
    clusters_HN: Tensor
    centres_HKD: Tensor
    mean: Tensor
    basis: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(128, task.n_items)
        self.learned = max(self.clusters, min(round(options.over * self.clusters), task.n_items // LEAST_MEMBERS))
        self.second = options.version == 2
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dim = self.dim(self.task.modality)
        width, heads = (PROJECTED, HEADS) if self.second else (white(dim), 1)
        if self.second:
            self.projector = Projector(dim, 2 * PROJECTED, PROJECTED)
            self.register_buffer("centres_HKD", torch.zeros(heads, self.learned, width))
        else:
            self.head = LinearHeads(dim, [self.learned])
            self.register_buffer("mean", torch.zeros(dim))
            self.register_buffer("basis", torch.zeros(dim, width))
        self.register_buffer("clusters_HN", torch.zeros(heads, self.task.n_items, dtype=torch.int32))
        self.ends = Centres(self.clusters, dim, directions=True)

    def phases(self) -> list[Phase]:
        published = PAPER_EPOCHS if self.task.preset == "paper" else QUICK_EPOCHS
        epochs = scaled_epochs([published], self.task.epochs)[0]
        rounds = min(self.options.rounds or (epochs if self.task.preset == "paper" else QUICK_ROUNDS), epochs)
        batch = min(BATCH, max(16, self.task.n_items // 16))
        recipe = Recipe(0.05 * batch / BATCH * self.options.lr_scale, cosine, weight_decay=1e-5)
        views = {self.task.modality: (self.view_of(self.task.modality),)}
        return [Phase("deep clustering", epochs, views, recipe, batch, tuple(float(epochs * i // rounds) for i in range(rounds)))]

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        if self.second or self.task.n_items == 1:
            return super().draw(phase, epoch, generator)
        return uniform_over_clusters(self.clusters_HN[0].cpu(), generator)[:, None]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        (view,) = batch.views[self.task.modality]
        features, clusters = self.encoders[self.task.modality](view), self.clusters_HN[:, batch.rows_BG[:, 0]].long()
        if self.second:
            z = F.normalize(self.projector(features).float(), dim=1)
            scores = list(z @ self.centres_HKD.transpose(1, 2) / TEMPERATURE)
        else:
            scores = self.head(features)
        return {"cluster": torch.stack([F.cross_entropy(s.float(), y) for s, y in zip(scores, clusters)]).mean()}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        features = data.features(self.task.modality)
        if not self.second:
            for kept, found in zip((self.mean, self.basis), whitening(features, white(features.shape[1]))):
                kept.copy_(found)
        x = self.clustered(features)
        for h in range(len(self.clusters_HN)):
            seed = (self.task.seed * 1009 + self.turn) * HEADS + h
            centres, labels = kmeans(x, self.learned, seed=seed, turns=TURNS, spherical=self.second)
            self.clusters_HN[h] = labels.to(self.clusters_HN)
            if self.second:
                self.centres_HKD[h] = F.normalize(centres, dim=1).to(self.centres_HKD)
        self.turn += 1
        if self.second:
            return Relabelling(self.current_labels())
        torch.manual_seed(self.task.seed * 7919 + self.turn)
        self.head.linear.reset_parameters()
        return Relabelling(self.current_labels(), renewed=("head",))

    def clustered(self, features: Tensor) -> Tensor:
        """(B, D) what k-means sees of features: whitened, or projected; at unit length."""
        if not self.second:
            return whitened(features, self.mean, self.basis)
        return torch.cat([F.normalize(self.projector(x).float(), dim=1) for x in features.split(4096)])

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction(self.ends(block[self.task.modality]))

    def final(self, data: Data, generator: torch.Generator) -> Final:
        x = data.features(self.task.modality)
        best = self.ends.fit(x, self.task.seed)
        return finished(self.ends(x), best, {"mass": "as k-means finds them"})

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.clusters_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]


def white(dim: int) -> int:
    """Directions that are kept of features of this length; the paper keeps 256 of 4,096."""
    return min(dim, max(LEAST_WHITE, dim // NARROWING))


def uniform_over_clusters(clusters_N: Tensor, generator: torch.Generator) -> Tensor:
    """(N,) rows in random order, of each cluster in use as many: of a large one some, of a small one some again.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> rows = uniform_over_clusters(torch.tensor([0, 0, 0, 0, 0, 2]), g)
        >>> sorted(rows.tolist())[3:]
        [5, 5, 5]
    """
    n = len(clusters_N)
    shuffled = torch.randperm(n, generator=generator)
    _, codes, sizes = clusters_N[shuffled].unique(return_inverse=True, return_counts=True)
    members = shuffled[codes.argsort(stable=True)]  # cluster after cluster, each in random order
    slots = torch.arange(n)
    cluster, turn = slots % len(sizes), slots // len(sizes)
    rows = members[(sizes.cumsum(0) - sizes)[cluster] + turn % sizes[cluster]]
    return rows[torch.randperm(n, generator=generator)]
