"""SeLa: self-labelling via simultaneous clustering and representation learning (Asano, Rupprecht & Vedaldi, ICLR 2020).

The claim: minimise one cross-entropy over both the network and the labels, with every label given an equal share of the
items. Two steps alternate: SGD with the labels fixed, and labels re-solved with the network fixed, as an optimal
transport problem (section 3.1, equations 5 to 8). No head is reset, because a label keeps its meaning over solves.

What we do otherwise: the label pass is in eval mode on centre views (the published code leaves dropout and batch
statistics on, and shows augmented views; `pass_views=train` does the latter); the solve is in logarithms, so that
softmax**lambda cannot underflow; no item is dropped; the reported head is the one that the others agree with most.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, LinearScores, marginals, plan, sinkhorn
from selflabel.contract import Batch, Data, Final, Method, Phase, Prediction, Recipe, Relabelling, scaled_epochs, spaced
from selflabel.evaluation.metrics import most_agreed
from selflabel.heads import LinearHeads

SMALL_PX = 64  # below this the paper's CIFAR recipe, above it the ImageNet one
RELAX = 0.3  # with --mass relaxed


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: heads with their own labels each. head_clusters: labels of each head, overriding K for all. lamb: lambda;
    None is the paper's (10 below 64 px, 25 above). solves: label solves in all. power: of their spacing in time.
    one_head_a_solve: heads take turns; None: where the CIFAR recipe is run as published (`--preset paper`). pass_views: "centre"
    or "train". rotation: add the four-way rotation head when training on given labels (SL+Rot). max_iter, tol: of the solver.
    lr_scale: a factor on the rate.
    """

    heads: int = 10
    head_clusters: tuple[int, ...] = ()
    lamb: float | None = None
    solves: int | None = None
    power: float | None = None
    one_head_a_solve: bool | None = None
    pass_views: str = "centre"
    rotation: bool = False
    max_iter: int = 2000
    tol: float | None = None
    lr_scale: float = 1.0


@dataclass(frozen=True)
class Published:
    """One of the paper's two recipes."""

    lamb: float
    tol: float
    epochs: int
    solves: int
    power: float
    one_head_a_solve: bool
    recipe: Recipe
    batch: int
    view: str


def cifar_steps(progress: float) -> float:
    """Flat to 60 %, then a tenth, and a hundredth from 80 %: the drops fall at 60 % and 80 % of 400 epochs."""
    return 1.0 if progress < 0.6 else 0.1 if progress < 0.8 else 0.01


def imagenet_steps(progress: float) -> float:
    """Of 400 epochs: a tenth every 150, a thousandth from 350."""
    epoch = 400 * progress
    return 1e-3 if epoch >= 350 else 0.1 ** int(epoch // 150)


SMALL = Published(10, 1e-2, 400, 400, 1, True, Recipe(0.03, cifar_steps, weight_decay=5e-4), 128, "sela-small")
LARGE = Published(25, 1e-1, 400, 100, 2, False, Recipe(0.05, imagenet_steps, weight_decay=1e-5), 256, "sela-large")
RETRAIN_EPOCHS, RETRAIN_DROP = 90, 30  # on fixed labels: a tenth every 30 epochs
QUICK_EPOCHS = 30  # without --preset paper


class SeLa(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("labels_HN",)
    labels_HN: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.published = SMALL if task.px < SMALL_PX else LARGE
        clusters = task.clusters or 128
        self.head_sizes = list(options.head_clusters) or [clusters] * options.heads
        self.lamb = options.lamb or self.published.lamb
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dim = self.dim(self.task.modality)
        self.heads = LinearHeads(dim, self.head_sizes)
        if self.options.rotation:
            self.rotation = nn.Linear(dim, 4)
        self.register_buffer("labels_HN", self.first_labels())

    def first_labels(self) -> Tensor:
        """Given labels, or a random permutation of i mod K a head."""
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
        quick = full if self.task.preset == "paper" else QUICK_EPOCHS
        epochs = scaled_epochs([quick], self.task.epochs)[0]
        recipe, batch = p.recipe, p.batch
        if given:
            recipe = Recipe(0.05, lambda t: 0.1 ** int(RETRAIN_EPOCHS * t // RETRAIN_DROP), weight_decay=1e-5)
        recipe = Recipe(recipe.lr * o.lr_scale, recipe.shape, recipe.kind, recipe.weight_decay, recipe.momentum)
        solves = o.solves or max(2, round(p.solves * epochs / p.epochs))
        times = () if given else spaced(epochs, solves, o.power or p.power)
        preset = self.view_preset()
        return [Phase("self-label", epochs, {self.task.modality: (preset,)}, recipe, batch, times)]

    def view_preset(self) -> str:
        """The paper's views for photographs; written signs are not mirrored, and features are shown as they are."""
        asked = self.task.views_asked(self.task.modality)
        if asked:
            return asked
        return {"photo": self.published.view, "features": "centre"}.get(self.task.kind, self.task.kind)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        (x,) = batch.views[self.task.modality]
        features = self.encoders[self.task.modality](x)
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long()
        terms = [F.cross_entropy(s, y) for s, y in zip(self.heads(features), labels)]
        losses = {"label": torch.stack(terms).mean()}
        if self.options.rotation:
            losses["rotation"] = self.rotation_loss(x, features)
        return losses

    def rotation_loss(self, x: Tensor, upright: Tensor) -> Tensor:
        """Which of four quarter turns a picture was given (SL+Rot): the label loss sees the upright copy only."""
        turned = [self.encoders[self.task.modality](torch.rot90(x, k, dims=(2, 3))) for k in (1, 2, 3)]
        scores = self.rotation(torch.cat([upright, *turned]))
        return F.cross_entropy(scores, torch.arange(4, device=x.device).repeat_interleave(len(x)))

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        features = self.pass_features(data)
        every = range(len(self.head_sizes))
        chosen = [self.turn % len(every)] if self.takes_turns() and self.turn > 0 else list(every)
        self.turn += 1
        solved = self.solve(features, chosen)
        for h, a in zip(chosen, solved):
            self.labels_HN[h] = a.labels.to(self.labels_HN)
        return Relabelling(
            self.current_labels(),
            max(a.error for a in solved),
            max(a.n_iter for a in solved),
            all(a.converged for a in solved),
        )

    def takes_turns(self) -> bool:
        """Whether one head is solved at a time: as published, over hundreds of solves; a short run has too few for that."""
        if self.options.one_head_a_solve is not None:
            return self.options.one_head_a_solve
        return self.published.one_head_a_solve and self.task.preset == "paper"

    def pass_features(self, data: Data) -> Tensor:
        view = self.view_preset() if self.options.pass_views == "train" else "centre"
        return data.features(self.task.modality, view=view, draw=self.turn)

    def scores(self, features: Tensor, head: int) -> LinearScores:
        return LinearScores(features, *self.heads.of(head))

    def solve(self, features: Tensor, heads: list[int]) -> list[Assignment]:
        """These heads' labels by transport with equal (or `--mass`) shares; kernel softmax ** lambda is epsilon = 1 / lambda."""
        tol = self.options.tol or self.published.tol
        scores = [self.scores(features, h) for h in heads]
        relax = RELAX if self.task.mass == "relaxed" else None
        mass = [marginals.asked(self.mass_name(), s, 1 / self.lamb, self.task.seed) for s in scores]
        return sinkhorn(scores, 1 / self.lamb, mass, relax, tol, self.options.max_iter)

    def mass_name(self) -> str:
        return {"auto": "uniform", "relaxed": "uniform"}.get(self.task.mass, self.task.mass)

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction([F.log_softmax(s.float(), dim=1) for s in self.heads(block[self.task.modality])])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        features = self.pass_features(data)
        if self.task.given_labels is not None:
            scores = [self.scores(features, h).product() for h in range(len(self.head_sizes))]
            labels, head = [s.argmax(dim=1) for s in scores], 0
            return Final(labels, head, torch.softmax(scores[0], dim=1).half(), {"mass": "given labels"})
        solved = self.solve(features, list(range(len(self.head_sizes))))
        labels = [a.labels for a in solved]
        head = most_agreed(labels)
        rows = plan(self.scores(features, head), solved[head]).half()
        mass = "KL-relaxed" if self.task.mass == "relaxed" else marginals.TITLES[self.mass_name()]
        return Final(labels, head, rows, {"mass": mass, "mass_error": solved[head].error, "converged": solved[head].converged})

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
