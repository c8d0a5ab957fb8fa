"""SeLa: self-labelling via simultaneous clustering and representation learning (Asano, Rupprecht & Vedaldi, ICLR 2020).

The claim: minimise one cross-entropy over both the network and the labels, with every label given an equal share of the
items. Two steps alternate: SGD with the labels fixed, and labels re-solved with the network fixed, as an optimal
transport problem (section 3.1, equations 5 to 8). No head is reset, because a label keeps its meaning over solves.

What we do otherwise: the label pass is in eval mode on centre views (the published code leaves dropout and batch statistics on,
and shows augmented views; `pass_views=train` does the latter). The solve is in log space, so that softmax ** lambda cannot
underflow. No item is dropped. The reported head is the one that the other heads agree with most.

Axes: N items, D features, H heads, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, LinearScores, plan, sinkhorn
from selflabel.assignment.mass import Mass, resolve_mass
from selflabel.base.schedules import scale_epochs, solve_times
from selflabel.contract import Batch, Data, Features, LinearSolve, Method, Outcome, Phase, Prediction, Recipe, Relabelling
from selflabel.evaluation.metrics import consensus_head
from selflabel.heads import LinearHeads
from selflabel.methods.option_types import PositiveFloat, PositiveInt

SMALL_PX = 64  # below it the paper's CIFAR recipe is used, from it on the ImageNet one


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of SeLa.

    Attributes:
        heads: heads, each with labels of its own.
        head_clusters: labels of each head, instead of K for all.
        lamb: inverse temperature of the solve, above 0; None is the paper's lambda (10 below 64 px, 25 from there on).
        solves: label solves in all; None follows from the epochs.
        power: exponent of the spacing of the solves in time; None is the paper's.
        one_head_a_solve: solve one head at a time, in turn; None does so with the CIFAR recipe and `--preset paper`.
        pass_views: "centre" or "train", the views of the label pass.
        rotation: add the four-way rotation head when training on given labels (SL+Rot).
        max_iter: iterations of the solver, at most.
        tol: error of a label's mass, relative to it, at which the solver stops; None is the paper's.
        lr_scale: factor on the learning rate.
    """

    heads: PositiveInt = 10
    head_clusters: tuple[PositiveInt, ...] = ()
    lamb: PositiveFloat | None = None
    solves: PositiveInt | None = None
    power: PositiveFloat | None = None
    one_head_a_solve: bool | None = None
    pass_views: Literal["centre", "train"] = "centre"
    rotation: bool = False
    max_iter: PositiveInt = 2000
    tol: PositiveFloat | None = None
    lr_scale: PositiveFloat = 1.0


@dataclass(frozen=True)
class Published:
    """One of the paper's two recipes.

    Attributes:
        lamb: inverse temperature of the solve.
        tol: error of a label's mass, relative to it, at which the solver stops.
        epochs: length of the training, in epochs.
        solves: label solves in all.
        power: exponent of the spacing of the solves in time.
        one_head_a_solve: whether one head is solved at a time, in turn.
        recipe: optimiser and learning rate.
        batch_size: items of a batch, at most.
        view: preset of the views.
    """

    lamb: float
    tol: float
    epochs: int
    solves: int
    power: float
    one_head_a_solve: bool
    recipe: Recipe
    batch_size: int
    view: str


def cifar_steps(progress: float) -> float:
    """Learning-rate factor of the CIFAR recipe: 1, a tenth from 60 % of the epochs on, and a hundredth from 80 % on."""
    return 1.0 if progress < 0.6 else 0.1 if progress < 0.8 else 0.01


def imagenet_steps(progress: float) -> float:
    """Learning-rate factor of the ImageNet recipe of 400 epochs: a tenth every 150 epochs, and a thousandth from 350 on."""
    epoch = 400 * progress
    return 1e-3 if epoch >= 350 else 0.1 ** int(epoch // 150)


SMALL = Published(
    lamb=10,
    tol=1e-2,
    epochs=400,
    solves=400,
    power=1,
    one_head_a_solve=True,
    recipe=Recipe(0.03, cifar_steps, weight_decay=5e-4),
    batch_size=128,
    view="sela-small",
)
LARGE = Published(
    lamb=25,
    tol=1e-1,
    epochs=400,
    solves=100,
    power=2,
    one_head_a_solve=False,
    recipe=Recipe(0.05, imagenet_steps, weight_decay=1e-5),
    batch_size=256,
    view="sela-large",
)
RETRAIN_EPOCHS, RETRAIN_DROP = 90, 30  # on fixed labels: a tenth every 30 epochs
SHORT_EPOCHS = 30  # without --preset paper
DEFAULT_CLUSTERS = 128  # stored runs have heads of that size, also on fewer items; new ones say their number in `task.clusters`


class SeLa(Method):
    """See the module's docstring."""

    takes_given_labels = True
    most_clusters = DEFAULT_CLUSTERS
    options_type = Options
    per_item = ("labels_HN",)
    labels_HN: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.published = SMALL if task.px < SMALL_PX else LARGE
        self.head_sizes = list(options.head_clusters) or [task.clusters or DEFAULT_CLUSTERS] * options.heads
        self.lamb = self.published.lamb if options.lamb is None else options.lamb
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dim = self.dim(self.task.modality)
        self.heads = LinearHeads(dim, self.head_sizes)
        if self.options.rotation:
            self.rotation = nn.Linear(dim, 4)
        self.register_buffer("labels_HN", self.first_labels())

    def first_labels(self) -> Tensor:
        """(H, N) given labels, or random labels of equal sizes."""
        given = self.task.given_labels
        if given is not None:
            return given.repeat(len(self.head_sizes), 1).to(torch.int32)
        generator = torch.Generator().manual_seed(self.task.seed)
        n = self.task.n_items
        order = [torch.randperm(n, generator=generator) for _ in self.head_sizes]
        return torch.stack([(o % k) for o, k in zip(order, self.head_sizes)]).to(torch.int32)

    def phases(self) -> list[Phase]:
        p, o = self.published, self.options
        given = self.task.given_labels is not None
        full = RETRAIN_EPOCHS if given else p.epochs
        epochs = scale_epochs([full if self.task.preset == "paper" else SHORT_EPOCHS], self.task.epochs)[0]
        recipe = p.recipe
        if given:
            recipe = Recipe(0.05, lambda t: 0.1 ** int(RETRAIN_EPOCHS * t // RETRAIN_DROP), weight_decay=1e-5)
        recipe = replace(recipe, lr=recipe.lr * o.lr_scale)
        solves = max(2, round(p.solves * epochs / p.epochs)) if o.solves is None else o.solves
        phase = Phase(
            name="self-label",
            epochs=epochs,
            views={self.task.modality: (self.view_preset(),)},
            recipe=recipe,
            loss=self.loss,
            batch_size=p.batch_size,
            relabel_at=() if given else solve_times(epochs, solves, p.power if o.power is None else o.power),
        )
        return [phase]

    def view_preset(self) -> str:
        """The requested views; else the paper's for photographs, and those of their kind for other items."""
        requested = self.task.requested_views(self.task.modality)
        return requested or {"photo": self.published.view, "features": "centre"}.get(self.task.kind, self.task.kind)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy to the current labels, averaged over heads (equation 5)."""
        x = batch.views[self.task.modality][0].pixels
        features = self.encoders[self.task.modality](x)
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long()
        terms = [F.cross_entropy(s, y) for s, y in zip(self.heads(features), labels)]
        losses = {"label": torch.stack(terms).mean()}
        if self.options.rotation:
            losses["rotation"] = self.rotation_loss(x, features)
        return losses

    def rotation_loss(self, x: Tensor, upright: Tensor) -> Tensor:
        """Cross-entropy of the four rotations of a picture (SL+Rot). The label loss uses the upright one only."""
        rotated = [self.encoders[self.task.modality](torch.rot90(x, k, dims=(2, 3))) for k in (1, 2, 3)]
        scores = self.rotation(torch.cat([upright, *rotated]))
        return F.cross_entropy(scores, torch.arange(4, device=x.device).repeat_interleave(len(x)))

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Solve the labels of all heads, or of the next one."""
        features, H = self.pass_features(data), len(self.head_sizes)
        heads = [self.turn % H] if self.solves_one_head() and self.turn > 0 else list(range(H))
        self.turn += 1
        solutions = self.solve(features, heads)
        for h, solution in zip(heads, solutions):
            self.labels_HN[h] = solution.labels.to(self.labels_HN)
        return Relabelling(
            labels=self.current_labels(),
            error=max(a.error for a in solutions),
            n_iter=max(a.n_iter for a in solutions),
            converged=all(a.converged for a in solutions),
        )

    def solves_one_head(self) -> bool:
        """Whether one head is solved at a time, as published with hundreds of solves; a short run has too few."""
        if self.options.one_head_a_solve is not None:
            return self.options.one_head_a_solve
        return self.published.one_head_a_solve and self.task.preset == "paper"

    def pass_features(self, data: Data) -> Tensor:
        """(N, D) features that labels are solved from."""
        view = self.view_preset() if self.options.pass_views == "train" else "centre"
        return data.features(self.task.modality, view=view, draw=self.turn)

    def scores(self, features: Tensor, head: int) -> LinearScores:
        return LinearScores(features, *self.heads.weight_and_bias(head))

    def solve(self, features: Tensor, heads: list[int]) -> list[Assignment]:
        """Labels by transport with equal (or `--mass`) shares; the kernel softmax ** lambda means epsilon = 1 / lambda."""
        scores, mass = [self.scores(features, h) for h in heads], self.mass()
        shares = [mass.shares(s, 1 / self.lamb, self.task.seed) for s in scores]
        tol = self.published.tol if self.options.tol is None else self.options.tol
        return sinkhorn(scores, 1 / self.lamb, shares, mass.relax, tol, self.options.max_iter)

    def mass(self) -> Mass:
        return resolve_mass(self.task.mass, default="uniform")

    def predict(self, features: Features) -> Prediction:
        return Prediction([F.log_softmax(s.float(), dim=1) for s in self.heads(features.pooled[self.task.modality])])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """The head that the others agree with most is reported; with given labels the first one."""
        features = self.pass_features(data)
        if self.task.given_labels is not None:
            scores = [self.scores(features, h).product() for h in range(len(self.head_sizes))]
            labels, head = [s.argmax(dim=1) for s in scores], 0
            return Outcome(labels, head, torch.softmax(scores[0], dim=1).half(), {"mass": "given labels"})
        solutions = self.solve(features, list(range(len(self.head_sizes))))
        labels = [a.labels for a in solutions]
        head = consensus_head(labels)
        rows = plan(self.scores(features, head), solutions[head]).half()
        solve = self.linear_solve(features, head, solutions[head]) if self.task.kind == "features" else None
        return Outcome(labels, head, rows, self.mass().notes(solutions[head]), solve=solve)

    def linear_solve(self, features: Tensor, head: int, solution: Assignment) -> LinearSolve:
        """How more items get labels by the reported head."""
        scores, mass, epsilon = self.scores(features, head), self.mass(), 1 / self.lamb
        weight, bias = (x.detach().clone() for x in self.heads.weight_and_bias(head))
        shares = mass.shares(scores, epsilon, self.task.seed)
        return LinearSolve(weight, bias, shares, mass.relax, epsilon, epsilon, solution.potentials, mass.name)

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
