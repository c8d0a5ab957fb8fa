"""TURTLE: let go of your labels with unsupervised transfer (Gadetsky, Jiang & Brbic, ICML 2024).

The claim: among all labellings of fixed features, human ones are those that a linear classifier learns most easily, and with the
widest margin. So the labelling itself is optimised. In the inner level a linear probe takes a few steps towards the present soft
labels; in the outer level the labelling moves to where the probe has the least error, while the entropy of the mean label keeps
it from collapsing (section 3, equations 9 to 12). The outer gradient is of first order: the probe is held fixed.

Give it features, or a fixed backbone (`--encoder frozen:NAME`). On pictures alone it first runs a pretext, and the encoder is
fixed from then on. Several labellings are optimised side by side from random starts; the one of lowest loss on all items is
reported.

What we do otherwise: one feature space (two networks' features can be given side by side as columns); smaller batches; without
`--preset paper` a larger learning rate in a shorter run.

Axes: N items, B items of a batch, M rows of an epoch, D features, H labellings, K labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.base.schedules import constant, epochs_for_budget, scale_epochs
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
    lowest_loss_head,
    shuffled_rows,
)
from selflabel.methods.option_types import NonNegativeFloat, PositiveFloat, PositiveInt
from selflabel.pretexts import PretextName, make_pretext

BILEVEL = "two levels"
PAPER_STEPS, PAPER_BATCH_SIZE = 6000, 10_000
BATCH_SIZE, MIN_STEPS = 3000, 10  # a batch must have more items than a feature has entries; outer steps of an epoch
SHORT_RUN_ITEMS = {PRETEXT: 120_000, BILEVEL: 500_000}  # items shown in a short run
MAX_EPOCHS = {PRETEXT: 120, BILEVEL: 40}
BETAS = (0.9, 0.999)  # of Adam
DEFAULT_CLUSTERS = 10


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of TURTLE.

    Attributes:
        heads: labellings side by side.
        gamma: weight of the entropy of the mean label; 0 leaves it out.
        inner: steps of the probe for each step of the labelling.
        pretext: what the encoder learns first, on pictures.
        lr_scale: factor on both learning rates.
    """

    heads: PositiveInt = 4
    gamma: NonNegativeFloat = 10.0
    inner: PositiveInt = 10
    pretext: PretextName = "simclr"
    lr_scale: PositiveFloat = 1.0


class Labellings(nn.Module):
    """Linear layers with weight normalisation, side by side.

    Args:
        dim: length of the features.
        K: labels.
        heads: layers.
    """

    def __init__(self, dim: int, K: int, heads: int):
        super().__init__()
        bound = dim**-0.5
        self.direction_HDK = nn.Parameter(torch.empty(heads, dim, K).uniform_(-bound, bound))
        self.length_HK = nn.Parameter(self.direction_HDK.detach().norm(dim=1))
        self.bias_HK = nn.Parameter(torch.empty(heads, K).uniform_(-bound, bound))

    def forward(self, features_BD: Tensor) -> Tensor:
        """(H, B, K) scores."""
        weight = F.normalize(self.direction_HDK, dim=1) * self.length_HK[:, None]
        return features_BD @ weight + self.bias_HK[:, None]


def probe_gradient(weight_HDK: Tensor, features_BD: Tensor, soft_HBK: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy of linear probes to soft labels.

    Args:
        weight_HDK: (H, D, K) weights; the last feature is 1, for the bias.
        features_BD: (B, D).
        soft_HBK: (H, B, K) probabilities.
    """
    return features_BD.T @ (torch.softmax(features_BD @ weight_HDK, dim=-1) - soft_HBK) / len(features_BD)


def adam_step(weight: Tensor, gradient: Tensor, moments: Tensor, step: int, lr: float) -> None:
    """One step of Adam in place (Kingma & Ba, 2015). moments: (2, ...) first and second moments. step: counted from 1."""
    first, second = moments
    first.lerp_(gradient, 1 - BETAS[0])
    second.lerp_(gradient.square(), 1 - BETAS[1])
    a, b = (1 - d**step for d in BETAS)
    weight.sub_(lr * (first / a) / ((second / b).sqrt() + 1e-8))


def labelling_losses(scores_HBK: Tensor, probe_HBK: Tensor, gamma: float) -> Tensor:
    """(H,) cross-entropy of the probe to the labelling, minus the weighted entropy of the mean label (equation 12).

    Args:
        scores_HBK: (H, B, K) scores of the labellings.
        probe_HBK: (H, B, K) scores of the probes.
        gamma: weight of the entropy.
    """
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
    features_ND: Tensor  # precomputed, standardised

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.inner_steps = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        D, H, K = self.dim(self.task.modality), self.options.heads, self.clusters
        self.heads = Labellings(D, K, H)
        if self.task.from_scratch:
            self.pretext = make_pretext(self.options.pretext, encoders, self.task)
        self.register_buffer("probe_HDK", torch.zeros(H, D + 1, K))
        self.register_buffer("moments", torch.zeros(2, H, D + 1, K))
        self.register_buffer("mean", torch.zeros(D))
        self.register_buffer("spread", torch.ones(()))

    def phases(self) -> list[Phase]:
        n, gpu = self.task.n_items, self.task.gpu
        names = [PRETEXT, BILEVEL] if self.task.from_scratch else [BILEVEL]
        published = [epochs_for_budget(n, SHORT_RUN_ITEMS[p], 20, MAX_EPOCHS[p], gpu) for p in names]
        if self.task.preset == "paper":
            published[-1] = max(1, PAPER_STEPS * self.batch_size() // (n * self.passes()))
        epochs = dict(zip(names, scale_epochs(published, self.task.epochs)))
        bilevel = Phase(
            name=BILEVEL,
            epochs=epochs[BILEVEL],
            views={},
            recipe=Recipe(self.lr(), constant, "adamw"),
            loss=self.loss,
            batch_size=self.batch_size(),
            learns=("heads",),
            draw=self.draw,
            start=self.fit_scale,
            precompute=self.precompute_features,
        )
        if not self.task.from_scratch:
            return [bilevel]
        return [self.pretext.phase(self.encoders, self.task, epochs[PRETEXT], self.options.lr_scale), bilevel]

    def lr(self) -> float:
        return (1e-3 if self.task.preset == "paper" else 1e-2) * self.options.lr_scale

    def batch_size(self) -> int:
        return min(PAPER_BATCH_SIZE if self.task.preset == "paper" else BATCH_SIZE, max(2, self.task.n_items))

    def passes(self) -> int:
        """Passes over the items in an epoch of the second phase, enough for MIN_STEPS steps."""
        return max(1, -(-MIN_STEPS * self.batch_size() // max(2, self.task.n_items)))

    def fit_scale(self, data: Data, generator: torch.Generator) -> None:
        """Features are centred, and scaled to a root mean square of 1."""
        x = data.features(self.task.modality)
        self.mean.copy_(x.mean(dim=0))
        self.spread.copy_((x - self.mean).square().mean().sqrt().clamp(min=1e-6))

    def precompute_features(self, data: Data) -> None:
        self.features_ND = self.standardise(data.features(self.task.modality))

    def draw(self, epoch: int, generator: torch.Generator) -> Tensor:
        """(M, 1) rows of several passes over the items."""
        return torch.cat([shuffled_rows(self.task.n_items, generator) for _ in range(self.passes())])

    def standardise(self, features: Tensor) -> Tensor:
        return (features.float() - self.mean) / self.spread

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Train the probe a little (inner level), then return the labellings' loss (outer level)."""
        x = self.features_ND[batch.gather(batch.rows_BG[:, 0])]
        with torch.autocast(x.device.type, enabled=False):  # products are small, and their differences matter
            scores = self.heads(x)
            self.train_probe(x, torch.softmax(scores.detach(), dim=-1))
            return {"labelling": labelling_losses(scores, self.probe_scores(x), self.options.gamma).mean()}

    @torch.no_grad()
    def train_probe(self, x: Tensor, soft_HBK: Tensor) -> None:
        """The inner level: a few steps of the probe towards the present labels, from its last weights."""
        padded = F.pad(x, (0, 1), value=1.0)
        for _ in range(self.options.inner):
            self.inner_steps += 1
            gradient = probe_gradient(self.probe_HDK, padded, soft_HBK)
            adam_step(self.probe_HDK, gradient, self.moments, self.inner_steps, self.lr())

    def probe_scores(self, x: Tensor) -> Tensor:
        """(H, B, K)."""
        return F.pad(x, (0, 1), value=1.0) @ self.probe_HDK

    def predict(self, features: Features) -> Prediction:
        return Prediction(list(F.log_softmax(self.heads(self.standardise(features.pooled[self.task.modality])), dim=-1)))

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """The labelling of lowest loss over all items is reported."""
        x = self.standardise(data.features(self.task.modality))
        scores = self.heads(x)
        losses = labelling_losses(scores, self.probe_scores(x), self.options.gamma).tolist()
        head = lowest_loss_head(losses)
        notes = {"mass": "as found, under a weight on the entropy of the mean label", "losses": losses}
        return Outcome(list(scores.argmax(dim=-1)), head, torch.softmax(scores[head], dim=-1).half(), notes)

    def extra_state(self) -> dict:
        return {"inner_steps": self.inner_steps}

    def load_extra_state(self, state: dict) -> None:
        self.inner_steps = state["inner_steps"]
