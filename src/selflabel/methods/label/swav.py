"""SwAV: unsupervised learning of visual features by contrasting cluster assignments (Caron, Misra, Mairal, Goyal, Bojanowski &
Joulin, NeurIPS 2020).

The claim: SeLa's balanced labels need no pass over all items; three iterations of Sinkhorn on a batch suffice, with a queue of
earlier items where the batch is small. Scores are cosines to prototypes, and the balanced soft labels of one view are what the
other views learn to predict (section 3.1, equations 2 to 5). Many small crops beside two large ones cost little and help much
(section 3.2).

What we do otherwise: K prototypes in each of several heads, and one head of more; AdamW instead of LARS; only photographs get
crops, and small ones only where the encoder accepts them. The paper transfers its features; here the finished labelling is the
balanced transport of all items' scores, and the reported head is the one that the other heads agree with most.

Axes: B items of a batch, V large views, Q items of the queue, D entries of a projection, K prototypes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, plan, sinkhorn
from selflabel.assignment.mass import Mass, resolve_mass
from selflabel.base.schedules import epochs_for_budget, one_cycle, scale_epochs
from selflabel.contract import Batch, Data, Features, Method, Outcome, Phase, Prediction, Recipe
from selflabel.encoders import accepts_px
from selflabel.evaluation.metrics import consensus_head
from selflabel.heads import Projector, Prototypes
from selflabel.methods.option_types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Share
from selflabel.views import PRESETS

PAPER_EPOCHS, BATCH_SIZE = 400, 256
SHORT_RUN_ITEMS = 120_000  # items shown in a short run
HIDDEN, PROJECTED = 256, 128
SOLVER_ITERATIONS = 3  # of the balanced labels of a batch
LARGE, SMALL = "crop-large", "crop-small"
DEFAULT_CLUSTERS = 10


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of SwAV.

    Attributes:
        heads: heads of K prototypes.
        over: prototypes of one more head, in multiples of K; 0 leaves it out.
        epsilon: temperature of the transport, above 0.
        temperature: temperature of the predictions, above 0.
        small_crops: small crops beside the two large ones.
        queue: earlier items that are balanced together with the batch.
        queue_from: share of the training after which the queue is used, 0 to 1.
        frozen_for: share of the training during which prototypes are frozen, 0 to 1.
        lr_scale: factor on the learning rate.
    """

    heads: PositiveInt = 5
    over: NonNegativeFloat = 10.0
    epsilon: PositiveFloat = 0.05
    temperature: PositiveFloat = 0.1
    small_crops: NonNegativeInt = 6
    queue: NonNegativeInt = 3840
    queue_from: Share = 0.15
    frozen_for: Share = 0.01
    lr_scale: PositiveFloat = 1.0


def balanced_labels(scores: list[Tensor], epsilon: float, last: int) -> list[Tensor]:
    """Soft balanced labels after three iterations of Sinkhorn (equation 3).

    Args:
        scores: (Q + B, K) scores of each head, of the queue and the batch.
        epsilon: temperature.
        last: B.

    Returns:
        (B, K) of each head, each row summing to 1.
    """
    solutions = sinkhorn(scores, epsilon, tol=None, max_iter=SOLVER_ITERATIONS)
    return [plan(s[-last:], a) for s, a in zip(scores, solutions)]


def swapped_loss(targets: list[Tensor], scores: list[Tensor], temperature: float) -> Tensor:
    """Cross-entropy of each view to the labels of every other large view, averaged (equations 1 and 2).

    Args:
        targets: (B, K) soft labels of each large view.
        scores: (B, K) scores of each view, large ones first.
        temperature: divides the scores.
    """
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
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        over = min(round(options.over * self.clusters), task.n_items)
        self.head_sizes = [self.clusters] * options.heads + [over] * (over > self.clusters)
        self.n_small_crops = 0
        self.queued = 0  # items in the queue
        self.projections: Tensor | None = None  # of the current step's large views

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        m = self.task.modality
        self.projector = Projector(self.dim(m), HIDDEN, PROJECTED)
        self.prototypes = Prototypes(PROJECTED, self.head_sizes)
        if self.is_photo and accepts_px(encoders[m], self.task.channels, round(PRESETS[SMALL].side * self.task.px)):
            self.n_small_crops = self.options.small_crops
        length = min(self.options.queue, self.task.n_items // 2)
        self.register_buffer("queue_VQD", torch.zeros(2, length, PROJECTED))

    @property
    def is_photo(self) -> bool:
        m = self.task.modality
        return self.task.kind_of(m) == "photo" and not self.task.requested_views(m)

    def phases(self) -> list[Phase]:
        paper = self.task.preset == "paper"
        m, n = self.task.modality, self.task.n_items
        published = PAPER_EPOCHS if paper else epochs_for_budget(n, SHORT_RUN_ITEMS, 10, 120, self.task.gpu)
        views = 2 * (LARGE,) + self.n_small_crops * (SMALL,) if self.is_photo else 2 * (self.task.view_preset(m),)
        phase = Phase(
            name="swap",
            epochs=scale_epochs([published], self.task.epochs)[0],
            views={m: views},
            recipe=Recipe(1e-3 * self.options.lr_scale, one_cycle, "adamw", 1e-6),
            loss=self.loss,
            batch_size=min(BATCH_SIZE, max(16, n // 8)),
            after_step=self.update_queue,
        )
        return [phase]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The swapped prediction, averaged over heads."""
        views = [view.pixels for view in batch.views[self.task.modality]]
        encoder = self.encoders[self.task.modality]
        by_size = [same for same in (views[:2], views[2:]) if same]
        z = [batch.gather(self.project(encoder(torch.cat(same))), stacked=len(same)) for same in by_size]
        B = len(z[0]) // 2
        scores = self.prototypes(torch.cat(z), frozen=batch.progress < self.options.frozen_for)
        self.projections = torch.stack(z[0].detach().split(B))
        targets = [self.targets(i, z[0][i * B : (i + 1) * B].detach(), batch.progress) for i in range(2)]
        terms = [swapped_loss([t[h] for t in targets], list(s.split(B)), self.options.temperature) for h, s in enumerate(scores)]
        return {"swap": torch.stack(terms).mean()}

    def project(self, features: Tensor) -> Tensor:
        return F.normalize(self.projector(features).float(), dim=1)

    @torch.no_grad()
    def targets(self, view: int, z: Tensor, progress: float) -> list[Tensor]:
        """Soft labels of one large view from each head, balanced together with the queue once it is full and in use."""
        full = 0 < self.queue_VQD.shape[1] <= self.queued
        ready = full and progress >= self.options.queue_from
        rows = torch.cat([self.queue_VQD[view], z]) if ready else z
        return balanced_labels([s.float() for s in self.prototypes(rows)], self.options.epsilon, len(z))

    def update_queue(self) -> None:
        """Replace the oldest items of the queue by those of this step."""
        if self.projections is None:
            return
        length, new = self.queue_VQD.shape[1], self.projections
        self.queue_VQD.copy_(torch.cat([new, self.queue_VQD], dim=1)[:, :length])
        self.queued, self.projections = min(length, self.queued + new.shape[1]), None

    def predict(self, features: Features) -> Prediction:
        scores = self.prototypes(self.project(features.pooled[self.task.modality]))[: self.options.heads]
        return Prediction([F.log_softmax(s.float() / self.options.temperature, dim=1) for s in scores])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """Balanced labels of all items; the head that the others agree with most is reported."""
        blocks = [self.project(x) for x in data.features(self.task.modality).split(4096)]
        scores = [s.float() for s in self.prototypes(torch.cat(blocks))[: self.options.heads]]
        mass = resolve_mass(self.task.mass, default="uniform")
        solutions = self.solve(scores, mass)
        labels = [a.labels for a in solutions]
        head = consensus_head(labels)
        return Outcome(labels, head, plan(scores[head], solutions[head]).half(), mass.notes(solutions[head]))

    def solve(self, scores: list[Tensor], mass: Mass) -> list[Assignment]:
        epsilon = self.options.epsilon
        shares = [mass.shares(s, epsilon, self.task.seed * 101 + h) for h, s in enumerate(scores)]
        return sinkhorn(scores, epsilon, shares, mass.relax, 1e-2)

    def extra_state(self) -> dict:
        return {"queued": self.queued}

    def load_extra_state(self, state: dict) -> None:
        self.queued = state["queued"]
