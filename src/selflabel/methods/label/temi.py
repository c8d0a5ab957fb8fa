"""TEMI: exploring the limits of deep image clustering using pretrained models (Adaloglou, Michels, Kalisch & Kollmann, 2023).

The claim: on features of a good fixed network, labels come from pairs of neighbours alone. Heads maximise the pointwise mutual
information between the labels of an item and of one of its neighbours, as a slowly moving teacher says them (section 3.1); pairs
that the teachers of all heads take for one class weigh more (section 3.2); an exponent below 1 keeps a head from leaving labels
unused.

Give it features, or a fixed backbone (`--encoder frozen:NAME`). On pictures alone it first passes a pretext, and the encoder is
fixed from then on. The reported head is that of least loss on all items.

What we do otherwise: heads of one hidden layer with batch norm; without `--preset paper` the rate is that of a short run, and the
teacher follows as much faster as the run is shorter.
"""

from __future__ import annotations

import copy
import functools
import math

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
    finished,
    least,
    one_cycle,
    quick_epochs,
    scaled_epochs,
    with_a_neighbour,
)
from selflabel.heads import MLPHeads
from selflabel.pretexts import PRETEXT, Name, Pretext, follow, pretext_phase

PAIRS = "pairs"
PAPER_EPOCHS = {PRETEXT: 500, PAIRS: 100}
SHOWN = {PRETEXT: 120_000, PAIRS: 400_000}  # items of a quick run
BATCH, HIDDEN = 512, 512
MOMENTUM, PAPER_STEPS = 0.996, 20_000  # of the teacher, on 50,000 pictures for 200 epochs
SHARE_MOMENTUM, LEAST_SHARE = 0.9, 1e-8  # of the labels' shares


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: side by side. neighbours: an item. beta: the exponent, in (0.5, 1]. temperature: of student and teacher. momentum:
    of the teacher, None by the length of the run. pretext: which, on pictures. lr_scale: a factor on the learning rates.
    """

    heads: int = 16
    neighbours: int = 50
    beta: float = 0.6
    temperature: float = 0.1
    momentum: float | None = None
    pretext: Name = "simclr"
    lr_scale: float = 1.0


def pair_losses(student_PHBK: Tensor, teacher_PHBK: Tensor, share_HK: Tensor, beta: float) -> Tensor:
    """(H, B) minus the pointwise information of both sides P = 2 of every pair, from log-probabilities: the student of one side
    against the teacher of the other (section 3.1).
    """
    joint = beta * (student_PHBK + teacher_PHBK.flip(0)) - share_HK.clamp(min=LEAST_SHARE).log()[:, None]
    return -joint.logsumexp(dim=-1).mean(dim=0)


def pair_weights(teacher_PHBK: Tensor) -> Tensor:
    """(B,) how surely a pair is of one class: the mean over heads of the inner product of the teachers' labels (section 3.2)."""
    return teacher_PHBK.sum(dim=0).exp().sum(dim=-1).mean(dim=0)


class TEMI(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("neighbours_Nk",)
    neighbours_Nk: Tensor
    share_HK: Tensor
    features_ND: Tensor  # remembered

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(10, task.n_items)

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        H, n = self.options.heads, self.task.n_items
        self.heads = MLPHeads(self.dim(self.task.modality), [self.clusters] * H, hidden=HIDDEN // 4, cosine=True)
        self.teacher = copy.deepcopy(self.heads).requires_grad_(False)
        if self.task.starts_from_nothing:
            self.pretext = Pretext(self.options.pretext, encoders[self.task.modality], 0.2, n)
        self.register_buffer("share_HK", torch.full((H, self.clusters), 1 / self.clusters))
        self.register_buffer("neighbours_Nk", torch.zeros(n, min(self.options.neighbours, max(1, n // 10)), dtype=torch.int32))

    @functools.cached_property
    def momentum(self) -> float:
        """The teacher's: what it was a given share of the run ago weighs as much as in the paper's run."""
        if self.options.momentum is not None:
            return self.options.momentum
        pairs = self.phases()[-1]
        steps = pairs.epochs * math.ceil(self.task.n_items / pairs.batch)
        return MOMENTUM ** max(1.0, PAPER_STEPS / steps)

    def phases(self) -> list[Phase]:
        m, n, paper = self.task.modality, self.task.n_items, self.task.preset == "paper"
        names = [PRETEXT, PAIRS] if self.task.starts_from_nothing else [PAIRS]
        wanted = [PAPER_EPOCHS[p] if paper else quick_epochs(self.task, SHOWN[p], 20, 120) for p in names]
        epochs = dict(zip(names, scaled_epochs(wanted, self.task.epochs)))
        recipe = Recipe((1e-4 if paper else 2e-3) * self.options.lr_scale, one_cycle, "adamw", 1e-4)
        batch = min(BATCH if paper else BATCH // 2, max(16, n // 8))
        pairs = Phase(PAIRS, epochs[PAIRS], {}, recipe, batch, learns=("heads",))
        if not self.task.starts_from_nothing:
            return [pairs]
        return [pretext_phase(self.options.pretext, m, self.view_of(m), epochs[PRETEXT], n, self.options.lr_scale), pairs]

    def start(self, phase: Phase, data: Data, generator: torch.Generator) -> None:
        if phase.name == PAIRS:
            found = nearest(data.features(self.task.modality), self.neighbours_Nk.shape[1]).rows
            self.neighbours_Nk = found.to(self.neighbours_Nk)

    def remember(self, phase: Phase, data: Data) -> None:
        if phase.name == PAIRS:
            self.features_ND = data.features(self.task.modality)

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        """Pairs: an item, and any of its neighbours."""
        rows = super().draw(phase, epoch, generator)
        if phase.name != PAIRS:
            return rows
        return with_a_neighbour(rows, self.neighbours_Nk, generator)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        m = self.task.modality
        if batch.phase == PRETEXT:
            return {"pretext": self.pretext.loss(self.encoders[m], batch.views[m], batch.every)}
        features = self.features_ND[batch.rows_BG.reshape(-1)]
        with torch.no_grad():
            teacher = self.soft(self.teacher, features)
            shares_BHK = batch.every(teacher.exp().mean(dim=0).movedim(1, 0))
            self.share_HK.lerp_(shares_BHK.mean(dim=0), 1 - SHARE_MOMENTUM)
        losses = pair_losses(self.soft(self.heads, features), teacher, self.share_HK, self.options.beta)
        return {"information": (pair_weights(teacher) * losses).mean()}

    def soft(self, heads: nn.Module, features: Tensor) -> Tensor:
        """(2, H, B, K) log-probabilities of rows that come as pairs, one after the other."""
        scores = torch.stack(heads(features)).float() / self.options.temperature
        return F.log_softmax(scores, dim=-1).unflatten(1, (-1, 2)).movedim(2, 0)

    def after_step(self) -> None:
        if self.heads.training:
            follow(self.teacher, self.heads, self.momentum)
        elif self.task.starts_from_nothing:
            self.pretext.after_step(self.encoders[self.task.modality])

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        scores = self.teacher(block[self.task.modality])
        return Prediction([F.log_softmax(s.float() / self.options.temperature, dim=1) for s in scores])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        m = self.task.modality
        log_probs = self.predict({m: data.features(m)}).log_probs
        every, first = torch.stack(log_probs), self.neighbours_Nk[:, 0].long()
        pairs, shares = torch.stack([every, every[:, first]]), every.exp().mean(dim=1)
        losses = (pair_weights(pairs) * pair_losses(pairs, pairs, shares, self.options.beta)).mean(dim=1).tolist()
        notes = {"mass": "as found, under a weight on labels that are seldom used", "losses": losses}
        return finished(log_probs, least(losses), notes)
