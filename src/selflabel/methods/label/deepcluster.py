"""DeepCluster: deep clustering for unsupervised learning of visual features (Caron, Bojanowski, Joulin & Douze, ECCV 2018).

The claim: k-means of the features of a network that has learned little are labels good enough to learn better features from. Two
steps alternate: features of all items are whitened and clustered (section 4.1), and the network learns the clusters by
cross-entropy through a head that is initialised again, because clusters have no lasting names. Items are drawn uniformly over
clusters, or only a few large clusters would be learned (section 3.3).

`version=2` is DeepCluster-v2 (Caron et al., 2020, appendix): a projection of the features is clustered on the sphere, three times
from different starts, and the centres themselves are the heads, held fixed at a temperature.

What we do otherwise: of short features fewer directions are whitened, since the last ones are noise. Without `--preset paper`
there are ten rounds, however many epochs, so that the network has time to learn the clusters of one. Features come from a pass
over the centre views in eval mode, where v2 keeps those of the last epoch. There is no Sobel filter. The paper transfers its
features; here the finished labelling is k-means of the features' directions into K.

Axes: N items, B items of a batch, H heads, K clusters, D entries of a projection.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans, whiten, whitening
from selflabel.base.schedules import cosine, scale_epochs
from selflabel.contract import (
    Batch,
    Data,
    Features,
    Method,
    Outcome,
    Phase,
    Prediction,
    Recipe,
    Relabelling,
    argmax_outcome,
    shuffled_rows,
)
from selflabel.heads import Centres, LinearHeads, Projector
from selflabel.methods.option_types import PositiveFloat, PositiveInt

PAPER_EPOCHS, SHORT_EPOCHS = 200, 40
NARROWING, MIN_DIRECTIONS = 16, 32  # one of so many directions is kept when features are whitened, and at least so many
SHORT_ROUNDS = 10  # of clustering, in a short run
BATCH_SIZE, LLOYD_ITERATIONS = 256, 20
MIN_MEMBERS = 10  # items of a cluster, on average
PROJECTED, HEADS, TEMPERATURE = 128, 3, 0.1  # of version 2
DEFAULT_CLUSTERS = 128


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of DeepCluster.

    Attributes:
        version: 1 is DeepCluster; 2 is DeepCluster-v2, which clusters a projection on the sphere with fixed centres as heads.
        over: clusters that the network learns, in multiples of K; the finished labelling has K.
        rounds: rounds of clustering; None is one in each epoch with `--preset paper`, else ten.
        lr_scale: factor on the learning rate.
    """

    version: Literal[1, 2] = 1
    over: PositiveFloat = 10.0
    rounds: PositiveInt | None = None
    lr_scale: PositiveFloat = 1.0


class DeepCluster(Method):
    """See the module's docstring."""

    most_clusters = DEFAULT_CLUSTERS
    options_type = Options
    per_item = ("clusters_HN",)
    clusters_HN: Tensor
    centres_HKD: Tensor
    mean: Tensor
    basis: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.n_classes = max(self.clusters, min(round(options.over * self.clusters), task.n_items // MIN_MEMBERS))
        self.is_v2 = options.version == 2
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dim = self.dim(self.task.modality)
        width, heads = (PROJECTED, HEADS) if self.is_v2 else (whitened_dim(dim), 1)
        if self.is_v2:
            self.projector = Projector(dim, 2 * PROJECTED, PROJECTED)
            self.register_buffer("centres_HKD", torch.zeros(heads, self.n_classes, width))
        else:
            self.head = LinearHeads(dim, [self.n_classes])
            self.register_buffer("mean", torch.zeros(dim))
            self.register_buffer("basis", torch.zeros(dim, width))
        self.register_buffer("clusters_HN", torch.zeros(heads, self.task.n_items, dtype=torch.int32))
        self.ends = Centres(self.clusters, dim, directions=True)

    def phases(self) -> list[Phase]:
        paper, m = self.task.preset == "paper", self.task.modality
        epochs = scale_epochs([PAPER_EPOCHS if paper else SHORT_EPOCHS], self.task.epochs)[0]
        default_rounds = epochs if paper else SHORT_ROUNDS
        rounds = min(default_rounds if self.options.rounds is None else self.options.rounds, epochs)
        batch_size = min(BATCH_SIZE, max(16, self.task.n_items // 16))
        phase = Phase(
            name="deep clustering",
            epochs=epochs,
            views={m: (self.task.view_preset(m),)},
            recipe=Recipe(0.05 * batch_size / BATCH_SIZE * self.options.lr_scale, cosine, weight_decay=1e-5),
            loss=self.loss,
            batch_size=batch_size,
            relabel_at=tuple(float(epochs * i // rounds) for i in range(rounds)),
            draw=self.draw,
        )
        return [phase]

    def draw(self, epoch: int, generator: torch.Generator) -> Tensor:
        """(N, 1) rows, uniformly over the clusters (section 3.3)."""
        if self.is_v2 or self.task.n_items == 1:
            return shuffled_rows(self.task.n_items, generator)
        return uniform_over_clusters(self.clusters_HN[0].cpu(), generator)[:, None]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy to the clusters, averaged over heads."""
        (view,) = batch.views[self.task.modality]
        features, clusters = self.encoders[self.task.modality](view.pixels), self.clusters_HN[:, batch.rows_BG[:, 0]].long()
        if self.is_v2:
            z = F.normalize(self.projector(features).float(), dim=1)
            scores = list(z @ self.centres_HKD.transpose(1, 2) / TEMPERATURE)
        else:
            scores = self.head(features)
        return {"cluster": torch.stack([F.cross_entropy(s.float(), y) for s, y in zip(scores, clusters)]).mean()}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Cluster the features. In version 1 the head is initialised again; in version 2 the centres are the heads."""
        features = data.features(self.task.modality)
        if not self.is_v2:
            for buffer, value in zip((self.mean, self.basis), whitening(features, whitened_dim(features.shape[1]))):
                buffer.copy_(value)
        x = self.clustering_input(features)
        for h in range(len(self.clusters_HN)):
            seed = (self.task.seed * 1009 + self.turn) * HEADS + h
            centres, labels = kmeans(x, self.n_classes, seed=seed, max_iter=LLOYD_ITERATIONS, spherical=self.is_v2)
            self.clusters_HN[h] = labels.to(self.clusters_HN)
            if self.is_v2:
                self.centres_HKD[h] = F.normalize(centres, dim=1).to(self.centres_HKD)
        self.turn += 1
        if self.is_v2:
            return Relabelling(self.current_labels())
        torch.manual_seed(self.task.seed * 7919 + self.turn)
        self.head.linear.reset_parameters()
        return Relabelling(self.current_labels(), reset=("head",))

    def clustering_input(self, features: Tensor) -> Tensor:
        """(B, D) features as k-means gets them: whitened, or projected, at unit length."""
        if not self.is_v2:
            return whiten(features, self.mean, self.basis)
        return torch.cat([F.normalize(self.projector(x).float(), dim=1) for x in features.split(4096)])

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.ends(features.pooled[self.task.modality]))

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """K-means of the features' directions into K."""
        x = data.features(self.task.modality)
        best = self.ends.fit(x, self.task.seed)
        return argmax_outcome(self.ends(x), best, {"mass": "as k-means finds them"})

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.clusters_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]


def whitened_dim(dim: int) -> int:
    """Length of whitened features; the paper keeps 256 of 4,096 directions."""
    return min(dim, max(MIN_DIRECTIONS, dim // NARROWING))


def uniform_over_clusters(clusters_N: Tensor, generator: torch.Generator) -> Tensor:
    """(N,) rows in random order, equally many of each cluster in use: some of a large cluster, repeated ones of a small one.

    Example:
        >>> g = torch.Generator().manual_seed(0)
        >>> rows = uniform_over_clusters(torch.tensor([0, 0, 0, 0, 0, 2]), g)
        >>> sorted(rows.tolist())[3:]
        [5, 5, 5]
    """
    n = len(clusters_N)
    shuffled = torch.randperm(n, generator=generator)
    _, codes, sizes = clusters_N[shuffled].unique(return_inverse=True, return_counts=True)
    members = shuffled[codes.argsort(stable=True)]  # sorted by cluster, each in random order
    slots = torch.arange(n)
    cluster, place = slots % len(sizes), slots // len(sizes)
    rows = members[(sizes.cumsum(0) - sizes)[cluster] + place % sizes[cluster]]
    return rows[torch.randperm(n, generator=generator)]
