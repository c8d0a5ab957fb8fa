"""XDC: self-supervised learning by cross-modal audio-video clustering (Alwassel et al., NeurIPS 2020).

The claim: k-means clusters of the sound are better labels for the picture than clusters of the picture, and the other way round
(section 3). Two steps alternate: features of all items are clustered, once for each modality; then each encoder learns, by
cross-entropy through a new head, the clusters of the other modality. With one modality this is deep clustering (Caron et al.,
2018).

The paper's four variants are `variant=`; they differ in the clusters that an encoder learns:

    xdc   those of the other modality
    sdc   its own (single-modality deep clustering; the only variant with one modality)
    mdc   its own and those of the other modality, by two heads
    cdc   those of both modalities' features, concatenated

What we do otherwise: the paper transfers the encoders and never labels the set itself. Here the finished labelling is k-means of
both features concatenated, as SeLaVi's authors did for their comparison. It is run STARTS times, and the one of lowest distance
is reported. An item that lacks a modality has no cluster there, and is left out of the terms that need it.

Axes: N items, D features, M a teacher of a modality.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans
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
)
from selflabel.heads import Centres, LinearHeads
from selflabel.methods.option_types import PositiveFloat, PositiveInt

EPOCHS, ROUNDS, BATCH_SIZE, STARTS = 40, 20, 32, 5
ABSENT = -100  # the cluster of an item that lacks the modality
DEFAULT_CLUSTERS = 128


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of XDC.

    Attributes:
        variant: whose clusters an encoder learns: the other modality's ("xdc"), its own ("sdc"), both by two heads ("mdc"), or
            those of all features side by side ("cdc").
        rounds: rounds of clustering.
        over: clusters that the encoders learn, in multiples of K; the finished labelling has K.
        lr_scale: factor on the learning rate.
    """

    variant: Literal["xdc", "sdc", "mdc", "cdc"] = "xdc"
    rounds: PositiveInt = ROUNDS
    over: PositiveFloat = 1.0
    lr_scale: PositiveFloat = 1.0


def teachers(modality: str, modalities: tuple[str, ...], variant: str) -> list[tuple[str, ...]]:
    """The teachers of a modality's encoder: tuples of the modalities whose features are clustered together.

    Example:
        >>> [teachers("video", ("video", "audio"), v) for v in ("xdc", "sdc", "mdc", "cdc")]
        [[('audio',)], [('video',)], [('video',), ('audio',)], [('video', 'audio')]]
    """
    own: tuple[str, ...] = (modality,)
    others: list[tuple[str, ...]] = [(m,) for m in modalities if m != modality]
    if variant == "cdc":
        return [modalities]
    if variant == "sdc" or not others:
        return [own]
    return others if variant == "xdc" else [own, *others]


def concatenate(features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """(N, D) all modalities' features, each at unit length, and zero where an item lacks the modality."""
    return torch.cat([F.normalize(x.float(), dim=1) * present[m][:, None] for m, x in features.items()], dim=1)


class XDC(Method):
    """See the module's docstring."""

    max_modalities = 2
    most_clusters = DEFAULT_CLUSTERS
    options_type = Options
    per_item = ("clusters_MN",)
    clusters_MN: Tensor  # a row for each teacher of each modality

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.n_classes = min(task.n_items, max(1, round(options.over * self.clusters)))
        self.teachers = {m: teachers(m, task.modalities, options.variant) for m in task.modalities}
        self.rows = [(m, t) for m, of_modality in self.teachers.items() for t in of_modality]
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        heads = {m: LinearHeads(self.dim(m), [self.n_classes] * len(teachers)) for m, teachers in self.teachers.items()}
        self.heads = nn.ModuleDict(heads)
        width = sum(self.dim(m) for m in self.task.modalities)
        self.register_buffer("clusters_MN", torch.zeros(len(self.rows), self.task.n_items, dtype=torch.int32))
        self.centres = Centres(self.clusters, width, STARTS)

    def phases(self) -> list[Phase]:
        epochs, n = scale_epochs([EPOCHS], self.task.epochs)[0], self.task.n_items
        rounds = min(self.options.rounds, epochs)
        batch_size = min(BATCH_SIZE, max(16, n // 8)) if n < 2000 else 4 * BATCH_SIZE
        phase = Phase(
            name="deep clustering",
            epochs=epochs,
            views={m: (self.task.view_preset(m),) for m in self.task.modalities},
            recipe=Recipe(0.05 * batch_size / 128 * self.options.lr_scale, cosine, weight_decay=1e-5),
            loss=self.loss,
            batch_size=batch_size,
            relabel_at=tuple(epochs * i / rounds for i in range(rounds)),
        )
        return [phase]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy to the teachers' clusters, averaged over modalities and their teachers."""
        clusters = dict(zip(self.rows, self.clusters_MN[:, batch.rows_BG[:, 0]].long()))
        terms = []
        for m, (view,) in batch.views.items():
            x = view.pixels
            is_present = batch.present.get(m, torch.ones(len(x), dtype=torch.bool, device=x.device))
            for teacher, scores in zip(self.teachers[m], self.heads[m](self.encoders[m](x))):
                targets = clusters[m, teacher].masked_fill(~is_present, ABSENT)
                loss = F.cross_entropy(scores.float(), targets, ignore_index=ABSENT, reduction="sum")
                terms.append(loss / (targets != ABSENT).sum().clamp(min=1))
        return {"cluster": torch.stack(terms).mean()}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Cluster every teacher's features. Clusters have no lasting names, so heads are initialised again."""
        features = {m: data.features(m) for m in self.task.modalities}
        for i, (_, teacher) in enumerate(self.rows):
            self.clusters_MN[i] = self.cluster(features, data.present, teacher).to(self.clusters_MN)
        torch.manual_seed(self.task.seed * 7919 + self.turn)
        for heads in self.heads.values():
            heads.linear.reset_parameters()  # type: ignore[operator, union-attr]
        self.turn += 1
        return Relabelling(self.current_labels(), reset=("heads",))

    def cluster(self, features: dict[str, Tensor], present: dict[str, Tensor], teacher: tuple[str, ...]) -> Tensor:
        """(N,) clusters of the teacher's features; ABSENT where an item has none of its modalities."""
        is_present = torch.stack([present[m] for m in teacher]).any(dim=0)
        x = concatenate({m: features[m] for m in teacher}, present)[is_present]
        clusters = torch.full((len(is_present),), ABSENT, device=is_present.device)
        clusters[is_present] = kmeans(x, self.n_classes, seed=self.task.seed * 1009 + self.turn, max_iter=20)[1].to(clusters)
        return clusters

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.centres(concatenate(*features.filled({m: self.dim(m) for m in self.task.modalities}))))

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """K-means of all modalities' features into K."""
        x = concatenate({m: data.features(m) for m in self.task.modalities}, data.present)
        best = self.centres.fit(x, self.task.seed)
        return argmax_outcome(self.centres(x), best, {"mass": "as k-means finds them"})

    def current_labels(self) -> list[Tensor]:
        return [row.long().masked_fill(row == ABSENT, -1) for row in self.clusters_MN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
