"""TEMI: exploring the limits of deep image clustering using pretrained models (Adaloglou, Michels, Kalisch & Kollmann, 2023).

The claim: on features of a good fixed network, labels come from pairs of neighbours alone. Heads maximise the pointwise mutual
information between the labels that a momentum teacher gives to an item and to one of its neighbours (section 3.1). Pairs that the
teachers of all heads assign to one class weigh more (section 3.2). An exponent below 1 keeps a head from leaving labels unused.

Give it features, or a fixed backbone (`--encoder frozen:NAME`). On pictures alone it first runs a pretext, and the encoder is
fixed from then on. The reported head is that of lowest loss on all items.

What we do otherwise: heads of one hidden layer with batch norm; without `--preset paper` the learning rate is that of a short
run, and the teacher follows faster in proportion.

Axes: N items, B pairs of a batch, P the two items of a pair, D features, H heads, K labels, k neighbours.
"""

from __future__ import annotations

import copy
import functools
import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.base.schedules import epochs_for_budget, one_cycle, scale_epochs
from selflabel.contract import (
    PRETEXT,
    Batch,
    Data,
    Features,
    Method,
    Outcome,
    Phase,
    Prediction,
    Recipe,
    argmax_outcome,
    lowest_loss_head,
)
from selflabel.heads import MLPHeads, momentum_update
from selflabel.methods.neighbour_pairs import draw_pairs, empty_neighbours, find_neighbours
from selflabel.methods.option_types import PositiveFloat, PositiveInt, Share
from selflabel.pretexts import PretextName, make_pretext

PAIRS = "pairs"
PAPER_EPOCHS = {PRETEXT: 500, PAIRS: 100}
SHORT_RUN_ITEMS = {PRETEXT: 120_000, PAIRS: 400_000}  # items shown in a short run
BATCH_SIZE, HIDDEN = 512, 128  # hidden: width of a head's layer
MOMENTUM, PAPER_STEPS = 0.996, 20_000  # the teacher's momentum in the paper, and the steps of its run (50,000 pictures)
SHARE_MOMENTUM, MIN_SHARE = 0.9, 1e-8  # of the labels' shares
DEFAULT_CLUSTERS = 10


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of TEMI.

    Attributes:
        heads: heads side by side.
        neighbours: neighbours of an item.
        beta: exponent of the joint probability of a pair, in (0.5, 1]; below 1 it keeps labels in use.
        temperature: temperature of student and teacher, above 0.
        momentum: momentum of the teacher, 0 to 1; None follows from the length of the run.
        pretext: what the encoder learns first, on pictures.
        lr_scale: factor on the learning rates.
    """

    heads: PositiveInt = 16
    neighbours: PositiveInt = 50
    beta: Annotated[float, Field(gt=0.5, le=1)] = 0.6
    temperature: PositiveFloat = 0.1
    momentum: Share | None = None
    pretext: PretextName = "simclr"
    lr_scale: PositiveFloat = 1.0


def pair_losses(student_PHBK: Tensor, teacher_PHBK: Tensor, share_HK: Tensor, beta: float) -> Tensor:
    """Minus the pointwise mutual information of pairs: the student of one item against the teacher of the other (section 3.1).

    Args:
        student_PHBK, teacher_PHBK: (2, H, B, K) log-probabilities of the two items P of each pair.
        share_HK: (H, K) shares of the labels.
        beta: exponent.

    Returns:
        (H, B), averaged over both items.
    """
    joint = beta * (student_PHBK + teacher_PHBK.flip(0)) - share_HK.clamp(min=MIN_SHARE).log()[:, None]
    return -joint.logsumexp(dim=-1).mean(dim=0)


def pair_weights(teacher_PHBK: Tensor) -> Tensor:
    """(B,) weights of pairs: the mean over heads of the inner product of the teachers' labels (section 3.2)."""
    return teacher_PHBK.sum(dim=0).exp().sum(dim=-1).mean(dim=0)


class TEMI(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("neighbours_Nk",)
    neighbours_Nk: Tensor
    share_HK: Tensor
    features_ND: Tensor  # precomputed

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        H, n = self.options.heads, self.task.n_items
        self.heads = MLPHeads(self.dim(self.task.modality), [self.clusters] * H, hidden=HIDDEN, cosine=True)
        self.teacher = copy.deepcopy(self.heads).requires_grad_(False)
        if self.task.from_scratch:
            self.pretext = make_pretext(self.options.pretext, encoders, self.task)
        self.register_buffer("share_HK", torch.full((H, self.clusters), 1 / self.clusters))
        self.register_buffer("neighbours_Nk", empty_neighbours(n, self.options.neighbours))

    @functools.cached_property
    def momentum(self) -> float:
        """The teacher's momentum. By default the teacher forgets as much over a given share of the run as in the paper's run."""
        if self.options.momentum is not None:
            return self.options.momentum
        pairs = self.phases()[-1]
        steps = pairs.epochs * math.ceil(self.task.n_items / pairs.batch_size)
        return MOMENTUM ** max(1.0, PAPER_STEPS / steps)

    def phases(self) -> list[Phase]:
        n, gpu, paper = self.task.n_items, self.task.gpu, self.task.preset == "paper"
        names = [PRETEXT, PAIRS] if self.task.from_scratch else [PAIRS]
        published = [PAPER_EPOCHS[p] if paper else epochs_for_budget(n, SHORT_RUN_ITEMS[p], 20, 120, gpu) for p in names]
        epochs = dict(zip(names, scale_epochs(published, self.task.epochs)))
        pairs = Phase(
            name=PAIRS,
            epochs=epochs[PAIRS],
            views={},
            recipe=Recipe((1e-4 if paper else 2e-3) * self.options.lr_scale, one_cycle, "adamw", 1e-4),
            loss=self.loss,
            batch_size=min(BATCH_SIZE if paper else BATCH_SIZE // 2, max(16, n // 8)),
            learns=("heads",),
            draw=self.draw_pairs,
            start=self.mine_neighbours,
            precompute=self.precompute_features,
            after_step=self.update_teacher,
        )
        if not self.task.from_scratch:
            return [pairs]
        return [self.pretext.phase(self.encoders, self.task, epochs[PRETEXT], self.options.lr_scale), pairs]

    def mine_neighbours(self, data: Data, generator: torch.Generator) -> None:
        self.neighbours_Nk = find_neighbours(data.features(self.task.modality), self.neighbours_Nk, data.groups_N)

    def precompute_features(self, data: Data) -> None:
        self.features_ND = data.features(self.task.modality)

    def draw_pairs(self, epoch: int, generator: torch.Generator) -> Tensor:
        """(N, 2) every item and one of its neighbours."""
        return draw_pairs(self.neighbours_Nk, generator)

    def update_teacher(self) -> None:
        momentum_update(self.teacher, self.heads, self.momentum)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted pointwise mutual information, averaged over heads and pairs."""
        features = self.features_ND[batch.rows_BG.reshape(-1)]
        with torch.no_grad():
            teacher = self.pair_log_probs(self.teacher, features)
            shares_BHK = batch.gather(teacher.exp().mean(dim=0).movedim(1, 0))
            self.share_HK.lerp_(shares_BHK.mean(dim=0), 1 - SHARE_MOMENTUM)
        losses = pair_losses(self.pair_log_probs(self.heads, features), teacher, self.share_HK, self.options.beta)
        return {"information": (pair_weights(teacher) * losses).mean()}

    def pair_log_probs(self, heads: nn.Module, features: Tensor) -> Tensor:
        """(2, H, B, K) log-probabilities, of (2B, D) features in which the two items of a pair are adjacent rows."""
        scores = torch.stack(heads(features)).float() / self.options.temperature
        return F.log_softmax(scores, dim=-1).unflatten(1, (-1, 2)).movedim(2, 0)

    def predict(self, features: Features) -> Prediction:
        scores = self.teacher(features.pooled[self.task.modality])
        return Prediction([F.log_softmax(s.float() / self.options.temperature, dim=1) for s in scores])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """The head of lowest loss over all items and their nearest neighbours is reported."""
        m = self.task.modality
        log_probs = self.predict(Features({m: data.features(m)})).log_probs
        log_probs_HNK, first = torch.stack(log_probs), self.neighbours_Nk[:, 0].long()
        pairs, shares = torch.stack([log_probs_HNK, log_probs_HNK[:, first]]), log_probs_HNK.exp().mean(dim=1)
        losses = (pair_weights(pairs) * pair_losses(pairs, pairs, shares, self.options.beta)).mean(dim=1).tolist()
        notes = {"mass": "as found, under a weight on labels that are seldom used", "losses": losses}
        return argmax_outcome(log_probs, lowest_loss_head(losses), notes)
