"""CliqueCNN: deep unsupervised exemplar learning (Bautista, Sanakoyeu, Sutter & Ommer, NIPS 2016).

The claim: similarities of weak features are reliable only where they are very high or very low. So take compact cliques, a few
items that are all very similar, as classes, and train on batches of cliques that are dissimilar to one another; items in between
are left out. Then similarities are computed from the learned features, and cliques are built again (section 3).

What we do otherwise: cliques and batches are found greedily, where the paper relaxes a quadratic program. Similarities come from
first features (`views.first`) or a pretrained encoder, where the paper has HOG with LDA. The paper ends with similarities; here
the finished labelling is k-means of the features' directions.

Axes: N items, B items of a batch, D features, C cliques, G items of a clique, M candidates for a clique.
"""

from __future__ import annotations

import functools
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.neighbours import nearest
from selflabel.base.schedules import cosine, epochs_for_budget, scale_epochs
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
    split_batches,
)
from selflabel.heads import Centres, LinearHeads, centred_directions
from selflabel.methods.option_types import PositiveFloat, PositiveInt

SHORT_RUN_ITEMS = 150_000  # items shown in all
BATCH_ITEMS = 128  # items of a batch
DEFAULT_CLUSTERS = 10
MAX_CLIQUES = 4000
MIN_ROUND = 8  # epochs between two rounds of building cliques: each clique is shown once in an epoch
CANDIDATES = 3  # neighbours considered, in multiples of a clique's other members


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of CliqueCNN.

    Attributes:
        clique: items of a clique, from 2 on; at most half of all items are taken.
        rounds: rounds of building cliques.
        lr_scale: factor on the learning rate.
    """

    clique: Annotated[int, Field(ge=2)] = 8
    rounds: PositiveInt = 5
    lr_scale: PositiveFloat = 1.0


def compact_cliques(features_ND: Tensor, neighbours_BM: Tensor, size: int, rows_B: Tensor) -> Tensor:
    """A clique around each of some rows: the item joins whose lowest similarity to a member is highest, one after another.

    Args:
        features_ND: (N, D) at unit length.
        neighbours_BM: (B, M) candidates for each clique, M >= size - 1.
        size: items of a clique.
        rows_B: (B,) the first item of each clique.

    Returns:
        (B, size) rows.
    """
    rows = rows_B.to(features_ND.device)
    members, candidates = rows[:, None], features_ND[neighbours_BM]
    lowest = (candidates @ features_ND[rows][:, :, None])[:, :, 0]  # similarity of a candidate to any member
    for _ in range(size - 1):
        best = lowest.argmax(dim=1, keepdim=True)
        members = torch.cat([members, neighbours_BM.gather(1, best)], dim=1)
        joined = features_ND[members[:, -1]]
        lowest = lowest.minimum((candidates @ joined[:, :, None])[:, :, 0]).scatter(1, best, -torch.inf)
    return members


def choose_cliques(members_NG: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Choose cliques that overlap little: each seed is in no earlier clique, and at most half of its clique is.

    Args:
        members_NG: (N, G) the clique around every item.
        limit: cliques at most.
        generator: random numbers of the order in which seeds are tried.

    Returns:
        (C,) seeds.
    """
    cliques, is_member, seeds = members_NG.tolist(), [False] * len(members_NG), []
    for seed in torch.randperm(len(cliques), generator=generator).tolist():
        if not is_member[seed] and 2 * sum(is_member[row] for row in cliques[seed]) <= len(cliques[seed]):
            seeds.append(seed)
            for row in cliques[seed]:
                is_member[row] = True
    return torch.tensor(seeds[:limit])


def dissimilar_order(centres_CD: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """An order in which the cliques of a batch are dissimilar. A batch begins with a random clique; the next one is always that
    whose highest similarity to a clique of the batch is lowest.

    Args:
        centres_CD: (C, D) at unit length.
        size: cliques of a batch.
        generator: random numbers of the first clique of each batch.

    Returns:
        (C,) an order.
    """
    C, order = len(centres_CD), []
    similarity = (centres_CD @ centres_CD.T).cpu()
    left, starts = torch.ones(C, dtype=torch.bool), {int(part[0]) for part in split_batches(torch.arange(C), size)}
    highest = torch.zeros(C)  # similarity to a clique of the batch
    for i in range(C):
        if i in starts:
            rows = left.nonzero()[:, 0]
            pick, highest = int(rows[torch.randint(len(rows), (1,), generator=generator)]), torch.full((C,), -torch.inf)
        else:
            pick = int(highest.masked_fill(~left, torch.inf).argmin())
        order.append(pick)
        left[pick], highest = False, highest.maximum(similarity[pick])
    return torch.tensor(order)


class CliqueCNN(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("cliques_CG", "clique_of_N")
    cliques_CG: Tensor  # the first `count` rows are in use
    clique_of_N: Tensor  # number of the clique that an item is the seed of; the seed is its first item
    centres_CD: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.size = max(2, min(options.clique, task.n_items // 2))
        self.turn = self.count = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        n, dim = self.task.n_items, self.dim(self.task.modality)
        limit = min(n, MAX_CLIQUES)
        self.head = LinearHeads(dim, [limit])
        self.ends = Centres(self.clusters, dim, directions=True)
        self.register_buffer("cliques_CG", torch.zeros(limit, self.size, dtype=torch.int32))
        self.register_buffer("clique_of_N", torch.zeros(n, dtype=torch.int32))
        self.register_buffer("centres_CD", torch.zeros(limit, 1))

    def phases(self) -> list[Phase]:
        m, n = self.task.modality, self.task.n_items
        epochs = scale_epochs([epochs_for_budget(n, SHORT_RUN_ITEMS, 10, 60, self.task.gpu)], self.task.epochs)[0]
        rounds = min(self.options.rounds, max(1, epochs // MIN_ROUND))
        items = min(BATCH_ITEMS, max(4 * self.size, n // 8))
        batch_size = max(2, min(items // self.size, self.clusters))
        phase = Phase(
            name="cliques",
            epochs=epochs,
            views={m: (self.task.view_preset(m),)},
            recipe=Recipe(0.05 * items / BATCH_ITEMS * self.options.lr_scale, cosine, weight_decay=1e-5),
            loss=self.loss,
            batch_size=batch_size,
            relabel_at=tuple(float(epochs * i // rounds) for i in range(rounds)),
            draw=functools.partial(self.draw, batch_size),
        )
        return [phase]

    def draw(self, batch_size: int, epoch: int, generator: torch.Generator) -> Tensor:
        """(C, G) cliques, those of a batch dissimilar."""
        if not self.count:
            return shuffled_rows(self.task.n_items, generator)
        order = dissimilar_order(self.centres_CD[: self.count], batch_size, generator)
        return self.cliques_CG.cpu()[order].long()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy: which clique of the batch is an item's?"""
        (view,) = batch.views[self.task.modality]
        cliques = self.clique_of_N[batch.gather(batch.rows_BG[:, 0])].long()
        weight, bias = self.head.weight_and_bias(0)
        features = batch.gather(self.encoders[self.task.modality](view.pixels).float())
        scores = F.linear(features, weight[cliques], bias[cliques])
        own = torch.arange(len(cliques), device=features.device).repeat_interleave(batch.rows_BG.shape[1])
        return {"clique": F.cross_entropy(scores, own)}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Build cliques from the present features. They are new classes, so the head is initialised again."""
        learned = self.turn > 0 or not self.task.from_scratch
        x = data.features(self.task.modality, layer="pooled" if learned else "input")
        x = centred_directions(x, x.mean(dim=0))
        near = nearest(x, CANDIDATES * (self.size - 1)).rows.to(x.device)
        members = torch.cat([compact_cliques(x, near[rows], self.size, rows) for rows in torch.arange(len(x)).split(1024)])
        seeds = choose_cliques(members, len(self.cliques_CG), generator).to(x.device)
        self.count = len(seeds)
        self.cliques_CG[: self.count] = members[seeds].to(self.cliques_CG)
        self.clique_of_N[seeds] = torch.arange(self.count, device=x.device).to(self.clique_of_N)
        self.centres_CD = F.normalize(x[members[seeds]].mean(dim=1), dim=1)
        self.turn += 1
        torch.manual_seed(self.task.seed * 7919 + self.turn)
        self.head.linear.reset_parameters()
        return Relabelling([], reset=("head",))

    def predict(self, features: Features) -> Prediction:
        return Prediction(self.ends(features.pooled[self.task.modality]))

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """K-means of the features' directions into K."""
        x = data.features(self.task.modality)
        best = self.ends.fit(x, self.task.seed)
        return argmax_outcome(self.ends(x), best, {"mass": "as k-means finds them"})

    def extra_state(self) -> dict:
        return {"turn": self.turn, "count": self.count}

    def load_extra_state(self, state: dict) -> None:
        self.turn, self.count = state["turn"], state["count"]
