"""XDC: self-supervised learning by cross-modal audio-video clustering (Alwassel et al., NeurIPS 2020).

The claim: k-means clusters of what is heard are better labels for what is seen than clusters of what is seen, and the other way
round (section 3). Two steps alternate: features of all items are clustered, a set of clusters a modality; then each encoder
learns, by cross-entropy through a fresh head, the clusters of the other one. With one modality this is deep clustering (Caron et
al., 2018).

The paper's four variants are `variant=`, each a list of what an encoder learns from:

    xdc   the other modality's clusters
    sdc   its own (single-modality deep clustering; all there is with one modality)
    mdc   its own and the other's, by two heads
    cdc   clusters of both modalities' features side by side

What we do otherwise: the paper transfers the encoders and never labels the set itself. Here the finished labelling is k-means of
both features side by side, as SeLaVi's authors made one to compare with; it is made STARTS times, and the tightest is reported.
An item that lacks a modality has no cluster there, and is left out of the terms that need it.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans
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
from selflabel.heads import Centres, LinearHeads

EPOCHS, ROUNDS, BATCH, STARTS = 40, 20, 32, 5
ABSENT = -100  # the cluster of an item that lacks the modality


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """variant: what an encoder learns from (see the module's docstring). rounds: of clustering. over: clusters learned from, in
    multiples of K; the finished labelling has K. lr_scale: a factor on the learning rate.
    """

    variant: Literal["xdc", "sdc", "mdc", "cdc"] = "xdc"
    rounds: int = ROUNDS
    over: float = 1.0
    lr_scale: float = 1.0


def teachers(modality: str, modalities: tuple[str, ...], variant: str) -> list[tuple[str, ...]]:
    """The features, a tuple of modalities each, whose clusters this modality's encoder learns.

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


def side_by_side(features: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """(N, D): each modality's features at unit length, nought where it is lacking."""
    return torch.cat([F.normalize(x.float(), dim=1) * present[m][:, None] for m, x in features.items()], dim=1)


class XDC(Method):
    """See the module's docstring."""

    most_modalities = 2
    options_type = Options
    per_item = ("clusters_MN",)
    clusters_MN: Tensor  # a row a teacher of a modality

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(128, task.n_items)
        self.learned = min(task.n_items, max(1, round(options.over * self.clusters)))
        self.taught = {m: teachers(m, task.modalities, options.variant) for m in task.modalities}
        self.rows = [(m, t) for m, of in self.taught.items() for t in of]
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        sizes = {m: [self.learned] * len(of) for m, of in self.taught.items()}
        self.heads = nn.ModuleDict({m: LinearHeads(self.dim(m), sizes[m]) for m in self.taught})
        width = sum(self.dim(m) for m in self.task.modalities)
        self.register_buffer("clusters_MN", torch.zeros(len(self.rows), self.task.n_items, dtype=torch.int32))
        self.centres = Centres(self.clusters, width, STARTS)

    def phases(self) -> list[Phase]:
        epochs = scaled_epochs([EPOCHS], self.task.epochs)[0]
        rounds = min(self.options.rounds, epochs)
        batch = min(BATCH, max(16, self.task.n_items // 8)) if self.task.n_items < 2000 else 4 * BATCH
        recipe = Recipe(0.05 * batch / 128 * self.options.lr_scale, cosine, weight_decay=1e-5)
        views = {m: (self.view_of(m),) for m in self.task.modalities}
        return [Phase("deep clustering", epochs, views, recipe, batch, tuple(epochs * i / rounds for i in range(rounds)))]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The mean over modalities and their teachers of the cross-entropy to the teacher's clusters."""
        clusters = dict(zip(self.rows, self.clusters_MN[:, batch.rows_BG[:, 0]].long()))
        terms = []
        for m, (view,) in batch.views.items():
            has = batch.present.get(m, torch.ones(len(view), dtype=torch.bool, device=view.device))
            for teacher, scores in zip(self.taught[m], self.heads[m](self.encoders[m](view))):
                each = F.cross_entropy(scores.float(), clusters[m, teacher].masked_fill(~has, ABSENT), reduction="sum")
                terms.append(each / (has & (clusters[m, teacher] != ABSENT)).sum().clamp(min=1))
        return {"cluster": torch.stack(terms).mean()}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Cluster every teacher's features; labels have no names that last, so heads are made anew."""
        features = {m: data.features(m) for m in self.task.modalities}
        for i, (_, teacher) in enumerate(self.rows):
            self.clusters_MN[i] = self.clustered(features, data.present, teacher).to(self.clusters_MN)
        torch.manual_seed(self.task.seed * 7919 + self.turn)
        for heads in self.heads.values():
            heads.linear.reset_parameters()  # type: ignore[operator, union-attr]
        self.turn += 1
        return Relabelling(self.current_labels(), renewed=("heads",))

    def clustered(self, features: dict[str, Tensor], present: dict[str, Tensor], teacher: tuple[str, ...]) -> Tensor:
        """(N,) clusters of these modalities' features; ABSENT where an item has none of them."""
        has = torch.stack([present[m] for m in teacher]).any(dim=0)
        x = side_by_side({m: features[m] for m in teacher}, present)[has]
        found = torch.full((len(has),), ABSENT, device=has.device)
        found[has] = kmeans(x, self.learned, seed=self.task.seed * 1009 + self.turn, turns=20)[1].to(found)
        return found

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        some = next(iter(block.values()))
        everywhere = torch.ones(len(some), dtype=torch.bool, device=some.device)
        features = {m: block.get(m, some.new_zeros(len(some), self.dim(m))) for m in self.task.modalities}
        has = {m: everywhere if m in block and present is None else (present or {}).get(m, ~everywhere) for m in features}
        x = side_by_side(features, has)
        return Prediction(self.centres(x))

    def final(self, data: Data, generator: torch.Generator) -> Final:
        x = side_by_side({m: data.features(m) for m in self.task.modalities}, data.present)
        best = self.centres.fit(x, self.task.seed)
        return finished(self.centres(x), best, {"mass": "as k-means finds them"})

    def current_labels(self) -> list[Tensor]:
        return [row.long().clamp(min=0) for row in self.clusters_MN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
