"""IIC: invariant information clustering (Ji, Henriques & Vedaldi, ICCV 2019).

The claim: labels that say the most about the labels of a changed copy of the same picture are classes. The network maximises the
mutual information of its soft labels of the two (section 3.1, equation 3). It cannot collapse, because one label for all says
nothing. Every head is five sub-heads with starts of their own, and an over-clustering head of more labels learns in turn with the
main one (section 4.1).

What we do otherwise: both copies are changed, because a network that tells a plain picture from a changed one can say just that,
and made symmetric, that has ln 2 of information; the heads take turns at every step, not at every epoch; heads start wider,
because from nearly equal labels our narrower features leave most of them unused; without `--preset paper` the learning rate is
that of a short run, and the labels' own entropies weigh 1.5; the reported sub-head is that of least loss on all items.
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
    finished,
    least,
    one_cycle,
    quick_epochs,
    scaled_epochs,
)
from selflabel.heads import LinearHeads

PAPER_EPOCHS, BATCH = 2000, 700
SHOWN = 200_000  # items of a quick run
QUICK_LAMB = 1.5  # of a short run
START = 0.3  # standard deviation of the heads' weights: labels must differ at once, or most are never used
LEAST = 1e-12  # share of a pair of labels


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """sub_heads: of the main and of the over-clustering head. over: labels of the latter, in multiples of K; 0 leaves it out.
    lamb: lambda, the weight of the labels' own entropies; None is 1 with `--preset paper`, else 1.5. lr_scale: a factor on the
    learning rate.
    """

    sub_heads: int = 5
    over: float = 5.0
    lamb: float | None = None
    lr_scale: float = 1.0


def information_loss(p_BK: Tensor, q_BK: Tensor, lamb: float = 1.0) -> Tensor:
    """Minus the mutual information of two soft labellings of the same items (equation 3), their joint made symmetric."""
    joint = p_BK.T @ q_BK / len(p_BK)
    joint = ((joint + joint.T) / 2).clamp(min=LEAST)
    own = joint.sum(dim=0).log()
    return -(joint * (joint.log() - lamb * (own[:, None] + own[None, :]))).sum()


class IIC(Method):
    """See the module's docstring."""

    options_type = Options

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(10, task.n_items)
        self.over = min(round(options.over * self.clusters), max(2, task.n_items))
        own = 1.0 if task.preset == "paper" else QUICK_LAMB
        self.lamb = own if options.lamb is None else options.lamb
        self.steps = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dim = self.dim(self.task.modality)
        self.heads = LinearHeads(dim, [self.clusters] * self.options.sub_heads)
        if self.options.over:
            self.fine = LinearHeads(dim, [self.over] * self.options.sub_heads)
        for p in (p for name, p in self.named_parameters() if name.startswith(("heads", "fine"))):
            nn.init.normal_(p, std=START)

    def phases(self) -> list[Phase]:
        paper = self.task.preset == "paper"
        published = PAPER_EPOCHS if paper else quick_epochs(self.task, SHOWN, 20, 120)
        quick = Recipe(1e-2, one_cycle, "adamw")
        recipe = Recipe(1e-4, lambda _: 1.0, "adamw") if paper else quick
        recipe = Recipe(recipe.lr * self.options.lr_scale, recipe.shape, recipe.kind)
        batch = BATCH if paper else min(224, max(16, self.task.n_items // 16))
        views = {self.task.modality: 2 * (self.view_of(self.task.modality),)}
        return [Phase("information", scaled_epochs([published], self.task.epochs)[0], views, recipe, batch)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        views = batch.views[self.task.modality]
        fine = bool(self.options.over) and self.steps % 2 == 0
        features = batch.every(self.encoders[self.task.modality](torch.cat(views)), stacked=2)
        terms = self.losses((self.fine if fine else self.heads)(features))
        return {"information": torch.stack(terms).mean()}

    def losses(self, scores: list[Tensor]) -> list[Tensor]:
        """A sub-head each, of scores (2B, K): of one changed copy of each item, then of another."""
        pairs = [torch.softmax(s.float(), dim=1).unflatten(0, (2, -1)) for s in scores]
        return [information_loss(p, q, self.lamb) for p, q in pairs]

    def after_step(self) -> None:
        self.steps += 1

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction([F.log_softmax(s.float(), dim=1) for s in self.heads(block[self.task.modality])])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        """The sub-head of least loss over all items."""
        modality = self.task.modality
        copies = torch.cat([data.features(modality, view=self.view_of(modality), draw=d) for d in (2, 3)])
        losses = [float(x) for x in self.losses(self.heads(copies))]
        log_probs = self.predict({modality: data.features(modality)}).log_probs
        notes = {"mass": "as found: information prefers equal masses", "losses": losses}
        return finished(log_probs, least(losses), notes)

    def extra_state(self) -> dict:
        return {"steps": self.steps}

    def load_extra_state(self, state: dict) -> None:
        self.steps = state["steps"]
