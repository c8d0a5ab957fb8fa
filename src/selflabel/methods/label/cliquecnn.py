"""CliqueCNN: deep unsupervised exemplar learning (Bautista, Sanakoyeu, Sutter & Ommer, NIPS 2016).

The claim: similarities of weak features are reliable only at their extremes. So take compact cliques, a few items that are all
much alike, as classes, and train on batches of cliques that are much unlike one another; what is in between is left for the
network to say. Then similarities are computed anew from what it learned, and cliques are built again (section 3).

What we do otherwise: cliques and batches are found greedily, where the paper relaxes a quadratic program; similarities come from
first features (`views.first`) or the pretrained encoder's, where the paper has HOG with LDA. The paper ends with similarities;
here the finished labelling is k-means of the features' directions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.neighbours import nearest
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
    evenly_split,
    finished,
    quick_epochs,
    scaled_epochs,
)
from selflabel.heads import Centres, LinearHeads, from_mean

SHOWN, BATCH = 150_000, 128  # items of a quick run; items a batch
MOST_CLIQUES = 4000
LEAST_ROUND = 8  # epochs between two buildings of cliques: each is shown once an epoch
CANDIDATES = 3  # neighbours looked at, in multiples of a clique's other members


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """clique: items of a clique. rounds: of building cliques. lr_scale: a factor on the learning rate."""

    clique: int = 8
    rounds: int = 5
    lr_scale: float = 1.0


def compact_cliques(features_ND: Tensor, neighbours_BM: Tensor, size: int, rows_B: Tensor) -> Tensor:
    """(B, size) a clique around each of these rows: item after item joins that is most alike to its least alike member.

    features: at unit length. neighbours: candidates, M >= size - 1.
    """
    rows = rows_B.to(features_ND.device)
    members, candidates = rows[:, None], features_ND[neighbours_BM]
    least = (candidates @ features_ND[rows][:, :, None])[:, :, 0]  # of a candidate's likeness to the members
    for _ in range(size - 1):
        best = least.argmax(dim=1, keepdim=True)
        members = torch.cat([members, neighbours_BM.gather(1, best)], dim=1)
        joined = features_ND[members[:, -1]]
        least = least.minimum((candidates @ joined[:, :, None])[:, :, 0]).scatter(1, best, -torch.inf)
    return members


def covering(members_NG: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """(C,) seeds in random order, each in no earlier clique and with at most half of its own in them: few items come twice,
    and those in between are left out.
    """
    cliques, taken, seeds = members_NG.tolist(), [False] * len(members_NG), []
    for seed in torch.randperm(len(cliques), generator=generator).tolist():
        if not taken[seed] and 2 * sum(taken[row] for row in cliques[seed]) <= len(cliques[seed]):
            seeds.append(seed)
            for row in cliques[seed]:
                taken[row] = True
    return torch.tensor(seeds[:most])


def unlike_order(centres_CD: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """(C,) an order of cliques in which those of a batch are mutually unlike: a batch begins anywhere, and the next is always
    that whose most alike clique in the batch is least alike to it, among those left.
    """
    C, order = len(centres_CD), []
    alike = (centres_CD @ centres_CD.T).cpu()
    left, starts = torch.ones(C, dtype=torch.bool), {int(part[0]) for part in evenly_split(torch.arange(C), size)}
    worst = torch.zeros(C)
    for i in range(C):
        if i in starts:
            rows = left.nonzero()[:, 0]
            pick, worst = int(rows[torch.randint(len(rows), (1,), generator=generator)]), torch.full((C,), -torch.inf)
        else:
            pick = int(worst.masked_fill(~left, torch.inf).argmin())
        order.append(pick)
        left[pick], worst = False, worst.maximum(alike[pick])
    return torch.tensor(order)


class CliqueCNN(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("cliques_CG", "clique_of_N")
    cliques_CG: Tensor  # the first `count` rows are in use
    clique_of_N: Tensor  # of a clique's seed, which is its first item
    centres_CD: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(10, task.n_items)
        self.size = max(2, min(options.clique, task.n_items // 2))
        self.turn = self.count = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        n, dim = self.task.n_items, self.dim(self.task.modality)
        most = min(n, MOST_CLIQUES)
        self.head = LinearHeads(dim, [most])
        self.ends = Centres(self.clusters, dim, directions=True)
        self.register_buffer("cliques_CG", torch.zeros(most, self.size, dtype=torch.int32))
        self.register_buffer("clique_of_N", torch.zeros(n, dtype=torch.int32))
        self.register_buffer("centres_CD", torch.zeros(most, 1))

    def phases(self) -> list[Phase]:
        m, n = self.task.modality, self.task.n_items
        epochs = scaled_epochs([quick_epochs(self.task, SHOWN, 10, 60)], self.task.epochs)[0]
        rounds = min(self.options.rounds, max(1, epochs // LEAST_ROUND))
        turns = tuple(float(epochs * i // rounds) for i in range(rounds))
        items = min(BATCH, max(4 * self.size, n // 8))
        recipe = Recipe(0.05 * items / BATCH * self.options.lr_scale, cosine, weight_decay=1e-5)
        return [Phase("cliques", epochs, {m: (self.view_of(m),)}, recipe, max(2, min(items // self.size, self.clusters)), turns)]

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        """Cliques, those of a batch mutually unlike."""
        if not self.count:
            return super().draw(phase, epoch, generator)
        order = unlike_order(self.centres_CD[: self.count], phase.batch, generator)
        return self.cliques_CG.cpu()[order].long()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Which clique of the batch an item is of."""
        (view,) = batch.views[self.task.modality]
        shown = self.clique_of_N[batch.every(batch.rows_BG[:, 0])].long()
        weight, bias = self.head.of(0)
        features = batch.every(self.encoders[self.task.modality](view).float())
        scores = F.linear(features, weight[shown], bias[shown])
        own = torch.arange(len(shown), device=view.device).repeat_interleave(batch.rows_BG.shape[1])
        return {"clique": F.cross_entropy(scores, own)}

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Build cliques from what is known by now; they are new classes, so the head is made anew."""
        learned = self.turn > 0 or not self.task.starts_from_nothing
        x = data.features(self.task.modality, layer="pooled" if learned else "input")
        x = from_mean(x, x.mean(dim=0))
        near = nearest(x, CANDIDATES * (self.size - 1)).rows.to(x.device)
        members = torch.cat([compact_cliques(x, near[rows], self.size, rows) for rows in torch.arange(len(x)).split(1024)])
        seeds = covering(members, len(self.cliques_CG), generator).to(x.device)
        self.count = len(seeds)
        self.cliques_CG[: self.count] = members[seeds].to(self.cliques_CG)
        self.clique_of_N[seeds] = torch.arange(self.count, device=x.device).to(self.clique_of_N)
        self.centres_CD = F.normalize(x[members[seeds]].mean(dim=1), dim=1)
        self.turn += 1
        torch.manual_seed(self.task.seed * 7919 + self.turn)
        self.head.linear.reset_parameters()
        return Relabelling([], renewed=("head",))

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction(self.ends(block[self.task.modality]))

    def final(self, data: Data, generator: torch.Generator) -> Final:
        x = data.features(self.task.modality)
        best = self.ends.fit(x, self.task.seed)
        return finished(self.ends(x), best, {"mass": "as k-means finds them"})

    def extra_state(self) -> dict:
        return {"turn": self.turn, "count": self.count}

    def load_extra_state(self, state: dict) -> None:
        self.turn, self.count = state["turn"], state["count"]
