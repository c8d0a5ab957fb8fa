"""SwAV: unsupervised learning of visual features by contrasting cluster assignments (Caron, Misra, Mairal, Goyal, Bojanowski &
Joulin, NeurIPS 2020).

The claim: SeLa's balanced labels need no pass over all items; three turns of Sinkhorn on a batch will do, with a queue of earlier
items beside it where the batch is small. Scores are cosines to prototypes; one view's balanced soft labels are what the other
views are to say (section 3.1, equations 2 to 5). Many small crops beside two large ones cost little and help much (section 3.2).

What we do otherwise: K prototypes a head, in several heads, and one head of more; AdamW for LARS; only photographs get crops, and
small ones only where the encoder takes them. The paper transfers its features; here the finished labelling is the balanced
transport of all items' scores, and the reported head is the one that the others agree with most.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, marginals, plan, sinkhorn
from selflabel.contract import (
    Batch,
    Data,
    Final,
    Method,
    Phase,
    Prediction,
    Recipe,
    one_cycle,
    quick_epochs,
    scaled_epochs,
)
from selflabel.encoders import takes_side
from selflabel.evaluation.metrics import most_agreed
from selflabel.heads import Projector, Prototypes
from selflabel.views import PRESETS

PAPER_EPOCHS, SHOWN, BATCH = 400, 120_000, 256
HIDDEN, PROJECTED = 256, 128
TURNS = 3
RELAX = 0.3  # with --mass relaxed
LARGE, SMALL = "crop-large", "crop-small"


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: of K prototypes. over: prototypes of one more head, in multiples of K; 0 leaves it out. epsilon: of the transport.
    temperature: of what is learned. small_crops: beside the two large ones. queue: earlier items balanced with the batch, from
    queue_from of the way on. frozen_for: share of the way during which prototypes stay. lr_scale: a factor on the learning rate.
    """

    heads: int = 5
    over: float = 10.0
    epsilon: float = 0.05
    temperature: float = 0.1
    small_crops: int = 6
    queue: int = 3840
    queue_from: float = 0.15
    frozen_for: float = 0.01
    lr_scale: float = 1.0


def balanced(scores: list[Tensor], epsilon: float, last: int) -> list[Tensor]:
    """Soft balanced labels of the last rows of (Q + B, K) scores a head, after three turns (equation 3)."""
    found = sinkhorn(scores, epsilon, tol=None, max_iter=TURNS)
    return [plan(s[-last:], a) for s, a in zip(scores, found)]


def swapped_loss(targets: list[Tensor], scores: list[Tensor], temperature: float) -> Tensor:
    """The mean cross-entropy of every view's scores to the labels of every other of the first views (equations 1 and 2)."""
    terms = [
        -(target * F.log_softmax(s / temperature, dim=1)).sum(dim=1).mean()
        for i, target in enumerate(targets)
        for v, s in enumerate(scores)
        if v != i
    ]
    return torch.stack(terms).mean()


class SwAV(Method):
    """See the module's docstring."""

    options_type = Options
    queue_VQD: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(10, task.n_items)
        over = min(round(options.over * self.clusters), task.n_items)
        self.head_sizes = [self.clusters] * options.heads + [over] * (over > self.clusters)
        self.small = 0
        self.queued = 0  # items in the queue
        self.seen: Tensor | None = None  # of the step that is under way

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        m = self.task.modality
        self.projector = Projector(self.dim(m), HIDDEN, PROJECTED)
        self.prototypes = Prototypes(PROJECTED, self.head_sizes)
        if self.is_photo and takes_side(encoders[m], self.task.channels, round(PRESETS[SMALL].side * self.task.px)):
            self.small = self.options.small_crops
        length = min(self.options.queue, self.task.n_items // 2)
        self.register_buffer("queue_VQD", torch.zeros(2, length, PROJECTED))

    @property
    def is_photo(self) -> bool:
        m = self.task.modality
        return self.task.kind_of(m) == "photo" and not self.task.views_asked(m)

    def phases(self) -> list[Phase]:
        paper = self.task.preset == "paper"
        published = PAPER_EPOCHS if paper else quick_epochs(self.task, SHOWN, 10, 120)
        recipe = Recipe(1e-3 * self.options.lr_scale, one_cycle, "adamw", 1e-6)
        batch = min(BATCH, max(16, self.task.n_items // 8))
        views = 2 * (LARGE,) + self.small * (SMALL,) if self.is_photo else 2 * (self.view_of(self.task.modality),)
        return [Phase("swap", scaled_epochs([published], self.task.epochs)[0], {self.task.modality: views}, recipe, batch)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        views = batch.views[self.task.modality]
        encoder = self.encoders[self.task.modality]
        sizes = [same for same in (views[:2], views[2:]) if same]
        z = [batch.every(self.project(encoder(torch.cat(same))), stacked=len(same)) for same in sizes]
        B = len(z[0]) // 2
        scores = self.prototypes(torch.cat(z), fixed=batch.progress < self.options.frozen_for)
        self.seen = torch.stack(z[0].detach().split(B))
        targets = [self.targets(i, z[0][i * B : (i + 1) * B].detach(), batch.progress) for i in range(2)]
        terms = [swapped_loss([t[h] for t in targets], list(s.split(B)), self.options.temperature) for h, s in enumerate(scores)]
        return {"swap": torch.stack(terms).mean()}

    def project(self, features: Tensor) -> Tensor:
        return F.normalize(self.projector(features).float(), dim=1)

    @torch.no_grad()
    def targets(self, view: int, z: Tensor, progress: float) -> list[Tensor]:
        """A head's soft labels of one large view, balanced with the queue once that is full and its time has come."""
        full = 0 < self.queue_VQD.shape[1] <= self.queued
        ready = full and progress >= self.options.queue_from
        every = torch.cat([self.queue_VQD[view], z]) if ready else z
        return balanced([s.float() for s in self.prototypes(every)], self.options.epsilon, len(z))

    def after_step(self) -> None:
        """Put the step's projections into the queue in place of the oldest."""
        if self.seen is None:
            return
        length = self.queue_VQD.shape[1]
        self.queue_VQD.copy_(torch.cat([self.seen, self.queue_VQD], dim=1)[:, :length])
        self.queued, self.seen = min(length, self.queued + self.seen.shape[1]), None

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        scores = self.prototypes(self.project(block[self.task.modality]))[: self.options.heads]
        return Prediction([F.log_softmax(s.float() / self.options.temperature, dim=1) for s in scores])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        blocks = [self.project(x) for x in data.features(self.task.modality).split(4096)]
        scores = [s.float() for s in self.prototypes(torch.cat(blocks))[: self.options.heads]]
        solved = self.solve(scores)
        labels = [a.labels for a in solved]
        head = most_agreed(labels)
        mass = "KL-relaxed" if self.task.mass == "relaxed" else marginals.TITLES[self.mass_name()]
        notes = {"mass": mass, "mass_error": solved[head].error, "converged": solved[head].converged}
        return Final(labels, head, plan(scores[head], solved[head]).half(), notes)

    def solve(self, scores: list[Tensor]) -> list[Assignment]:
        epsilon, name = self.options.epsilon, self.mass_name()
        mass = [marginals.asked(name, s, epsilon, self.task.seed * 101 + h) for h, s in enumerate(scores)]
        return sinkhorn(scores, epsilon, mass, RELAX if self.task.mass == "relaxed" else None, 1e-2)

    def mass_name(self) -> str:
        return {"auto": "uniform", "relaxed": "uniform"}.get(self.task.mass, self.task.mass)

    def extra_state(self) -> dict:
        return {"queued": self.queued}

    def load_extra_state(self, state: dict) -> None:
        self.queued = state["queued"]
