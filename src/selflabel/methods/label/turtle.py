"""TURTLE: let go of your labels with unsupervised transfer (Gadetsky, Jiang & Brbic, ICML 2024).

The claim: among all labellings of fixed features, people's are those that a linear classifier learns most readily, and at the
widest margin. So the labelling itself is what is optimised. Inside, a linear probe takes a few steps towards the present soft
labels; outside, the labelling moves to where that probe errs least, while the entropy of the mean label keeps it from collapsing
(section 3, equations 9 to 12). The outer gradient is of first order: the probe is held fixed.

Give it features, or a fixed backbone (`--encoder frozen:NAME`). On pictures alone it first passes a pretext, and the encoder is
fixed from then on. Several labellings with starts of their own are found side by side; that of least loss on all items is
reported.

What we do otherwise: one space of features (two networks' can be given side by side as columns); smaller batches, and a larger
learning rate in a shorter run without `--preset paper`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.contract import (
    Batch,
    Data,
    Final,
    Method,
    Phase,
    Prediction,
    Recipe,
    least,
    quick_epochs,
    scaled_epochs,
)
from selflabel.pretexts import PRETEXT, Name, Pretext, pretext_phase

BILEVEL = "two levels"
PAPER_STEPS, PAPER_BATCH = 6000, 10_000
BATCH, LEAST_STEPS = 3000, 10  # items, which must be more than a feature has entries; outer steps an epoch
SHOWN, MOST_EPOCHS = {PRETEXT: 120_000, BILEVEL: 500_000}, {PRETEXT: 120, BILEVEL: 40}
DECAYS = (0.9, 0.999)  # Adam's


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: labellings side by side. gamma: weight of the entropy. inner: steps of the probe for one of the labelling. pretext:
    which, on pictures. lr_scale: a factor on both learning rates.
    """

    heads: int = 4
    gamma: float = 10.0
    inner: int = 10
    pretext: Name = "simclr"
    lr_scale: float = 1.0


class Labellings(nn.Module):
    """Linear layers with weight norm, side by side: the length of every weight is learned apart from its direction."""

    def __init__(self, dim: int, K: int, heads: int):
        super().__init__()
        bound = dim**-0.5
        self.direction_HDK = nn.Parameter(torch.empty(heads, dim, K).uniform_(-bound, bound))
        self.length_HK = nn.Parameter(self.direction_HDK.detach().norm(dim=1))
        self.bias_HK = nn.Parameter(torch.empty(heads, K).uniform_(-bound, bound))

    def forward(self, features_BD: Tensor) -> Tensor:
        """(H, B, K)."""
        weight = F.normalize(self.direction_HDK, dim=1) * self.length_HK[:, None]
        return features_BD @ weight + self.bias_HK[:, None]


def probe_gradient(weight_HDK: Tensor, features_BD: Tensor, soft_HBK: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy of linear probes to soft labels; the last feature is 1."""
    return features_BD.T @ (torch.softmax(features_BD @ weight_HDK, dim=-1) - soft_HBK) / len(features_BD)


def adam_step(weight: Tensor, gradient: Tensor, moments: Tensor, step: int, lr: float) -> None:
    """One step of Adam in place (Kingma & Ba, 2015); moments: (2, ...) first and second, step: from 1."""
    first, second = moments
    first.lerp_(gradient, 1 - DECAYS[0])
    second.lerp_(gradient.square(), 1 - DECAYS[1])
    a, b = (1 - d**step for d in DECAYS)
    weight.sub_(lr * (first / a) / ((second / b).sqrt() + 1e-8))


def labelling_losses(scores_HBK: Tensor, probe_HBK: Tensor, gamma: float) -> Tensor:
    """(H,) cross-entropy of the probe's scores to the labelling, minus the weighted entropy of its mean label (equation 12)."""
    soft = torch.softmax(scores_HBK, dim=-1)
    error = -(soft * F.log_softmax(probe_HBK, dim=-1)).sum(dim=-1).mean(dim=-1)
    return error - gamma * torch.special.entr(soft.mean(dim=1)).sum(dim=-1)


class Turtle(Method):
    """See the module's docstring."""

    options_type = Options
    probe_HDK: Tensor
    moments: Tensor
    mean: Tensor
    spread: Tensor
    features_ND: Tensor  # remembered

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(10, task.n_items)
        self.inner_steps = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        D, H, K = self.dim(self.task.modality), self.options.heads, self.clusters
        self.heads = Labellings(D, K, H)
        if self.task.starts_from_nothing:
            self.pretext = Pretext(self.options.pretext, encoders[self.task.modality], 0.2, self.task.n_items)
        self.register_buffer("probe_HDK", torch.zeros(H, D + 1, K))
        self.register_buffer("moments", torch.zeros(2, H, D + 1, K))
        self.register_buffer("mean", torch.zeros(D))
        self.register_buffer("spread", torch.ones(()))

    def phases(self) -> list[Phase]:
        m, n, paper = self.task.modality, self.task.n_items, self.task.preset == "paper"
        names = [PRETEXT, BILEVEL] if self.task.starts_from_nothing else [BILEVEL]
        wanted = [quick_epochs(self.task, SHOWN[p], 20, MOST_EPOCHS[p]) for p in names]
        if paper:
            wanted[-1] = max(1, PAPER_STEPS * self.batch() // (n * self.passes()))
        epochs = dict(zip(names, scaled_epochs(wanted, self.task.epochs)))
        recipe = Recipe(self.lr(), lambda _: 1.0, "adamw")
        levels = Phase(BILEVEL, epochs[BILEVEL], {}, recipe, self.batch(), learns=("heads",))
        if not self.task.starts_from_nothing:
            return [levels]
        return [pretext_phase(self.options.pretext, m, self.view_of(m), epochs[PRETEXT], n, self.options.lr_scale), levels]

    def lr(self) -> float:
        return (1e-3 if self.task.preset == "paper" else 1e-2) * self.options.lr_scale

    def batch(self) -> int:
        return min(PAPER_BATCH if self.task.preset == "paper" else BATCH, max(2, self.task.n_items))

    def passes(self) -> int:
        """Over the items in an epoch of the second phase: as many as hold enough steps."""
        return max(1, -(-LEAST_STEPS * self.batch() // max(2, self.task.n_items)))

    def start(self, phase: Phase, data: Data, generator: torch.Generator) -> None:
        """Features are seen about their mean, and their entries of one size on average."""
        if phase.name == BILEVEL:
            x = data.features(self.task.modality)
            self.mean.copy_(x.mean(dim=0))
            self.spread.copy_((x - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def remember(self, phase: Phase, data: Data) -> None:
        if phase.name == BILEVEL:
            self.features_ND = self.seen(data.features(self.task.modality))

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        passes = self.passes() if phase.name == BILEVEL else 1
        return torch.cat([super(Turtle, self).draw(phase, epoch, generator) for _ in range(passes)])

    def seen(self, features: Tensor) -> Tensor:
        return (features.float() - self.mean) / self.spread

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        m = self.task.modality
        if batch.phase == PRETEXT:
            return {"pretext": self.pretext.loss(self.encoders[m], batch.views[m], batch.every)}
        x = self.features_ND[batch.every(batch.rows_BG[:, 0])]
        with torch.autocast(x.device.type, enabled=False):  # small products, whose differences matter
            scores = self.heads(x)
            self.teach_probe(x, torch.softmax(scores.detach(), dim=-1))
            return {"labelling": labelling_losses(scores, self.probed(x), self.options.gamma).mean()}

    @torch.no_grad()
    def teach_probe(self, x: Tensor, soft_HBK: Tensor) -> None:
        """The inner level: steps of the probe towards the present labels, from where it stood."""
        with_one = F.pad(x, (0, 1), value=1.0)
        for _ in range(self.options.inner):
            self.inner_steps += 1
            gradient = probe_gradient(self.probe_HDK, with_one, soft_HBK)
            adam_step(self.probe_HDK, gradient, self.moments, self.inner_steps, self.lr())

    def probed(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 1), value=1.0) @ self.probe_HDK

    def after_step(self) -> None:
        if self.task.starts_from_nothing:
            self.pretext.after_step(self.encoders[self.task.modality])

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction(list(F.log_softmax(self.heads(self.seen(block[self.task.modality])), dim=-1)))

    def final(self, data: Data, generator: torch.Generator) -> Final:
        x = self.seen(data.features(self.task.modality))
        scores = self.heads(x)
        losses = labelling_losses(scores, self.probed(x), self.options.gamma).tolist()
        head = least(losses)
        notes = {"mass": "as found, under a weight on the entropy of the mean label", "losses": losses}
        return Final(list(scores.argmax(dim=-1)), head, torch.softmax(scores[head], dim=-1).half(), notes)

    def extra_state(self) -> dict:
        return {"inner_steps": self.inner_steps}

    def load_extra_state(self, state: dict) -> None:
        self.inner_steps = state["inner_steps"]
