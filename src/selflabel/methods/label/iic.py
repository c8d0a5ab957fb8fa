"""IIC: invariant information clustering (Ji, Henriques & Vedaldi, ICCV 2019).

The claim: labels that tell most about the labels of a changed copy of the same picture are classes. The network maximises the
mutual information between its soft labels of the two (section 3.1, equation 3). It cannot collapse, because a single label has no
information. Every head is five sub-heads with random starts of their own, and an over-clustering head of more labels is trained
in alternation with the main head (section 4.1).

What we do otherwise: both copies are changed views, because a network that tells a plain picture from a changed one can report
just that difference, which after symmetrisation has ln 2 of information. The heads alternate at every step, not at every epoch.
Heads start with larger weights, because nearly equal labels on our narrower features leave most labels unused. Without
`--preset paper` the learning rate is that of a short run, and the labels' entropies weigh 1.5. The reported sub-head is that of
lowest loss on all items.

Axes: B items of a batch, K labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.base.schedules import constant, epochs_for_budget, one_cycle, scale_epochs
from selflabel.contract import (
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
from selflabel.heads import LinearHeads
from selflabel.methods.option_types import NonNegativeFloat, PositiveFloat, PositiveInt

PAPER_EPOCHS, PAPER_BATCH_SIZE = 2000, 700
SHORT_RUN_ITEMS = 200_000  # items shown in a short run
SHORT_LAMB = 1.5  # lambda of a short run
INITIAL_STD = 0.3  # of the heads' weights: labels must differ from the start, or most are never used
MIN_SHARE = 1e-12  # of a pair of labels
DEFAULT_CLUSTERS = 10


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of IIC.

    Attributes:
        sub_heads: sub-heads of the main head, and of the over-clustering head.
        over: labels of the over-clustering head, in multiples of K; 0 leaves it out.
        lamb: weight of the labels' entropies (the authors' lambda); None is 1 with `--preset paper`, else 1.5.
        lr_scale: factor on the learning rate.
    """

    sub_heads: PositiveInt = 5
    over: NonNegativeFloat = 5.0
    lamb: NonNegativeFloat | None = None
    lr_scale: PositiveFloat = 1.0


def information_loss(p_BK: Tensor, q_BK: Tensor, lamb: float = 1.0) -> Tensor:
    """Minus the mutual information of two soft labellings of the same items (equation 3), their joint made symmetric.

    Args:
        p_BK, q_BK: (B, K) probabilities of the labels.
        lamb: weight of the entropies of the labels.
    """
    joint = p_BK.T @ q_BK / len(p_BK)
    joint = ((joint + joint.T) / 2).clamp(min=MIN_SHARE)
    log_marginal = joint.sum(dim=0).log()
    return -(joint * (joint.log() - lamb * (log_marginal[:, None] + log_marginal[None, :]))).sum()


class IIC(Method):
    """See the module's docstring."""

    options_type = Options

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.over = min(round(options.over * self.clusters), max(2, task.n_items))
        default = 1.0 if task.preset == "paper" else SHORT_LAMB
        self.lamb = default if options.lamb is None else options.lamb
        self.steps = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dim = self.dim(self.task.modality)
        self.heads = LinearHeads(dim, [self.clusters] * self.options.sub_heads)
        if self.options.over:
            self.fine = LinearHeads(dim, [self.over] * self.options.sub_heads)
        for p in (p for name, p in self.named_parameters() if name.startswith(("heads", "fine"))):
            nn.init.normal_(p, std=INITIAL_STD)

    def phases(self) -> list[Phase]:
        paper = self.task.preset == "paper"
        n, m = self.task.n_items, self.task.modality
        published = PAPER_EPOCHS if paper else epochs_for_budget(n, SHORT_RUN_ITEMS, 20, 120, self.task.gpu)
        lr, schedule = (1e-4, constant) if paper else (1e-2, one_cycle)
        phase = Phase(
            name="information",
            epochs=scale_epochs([published], self.task.epochs)[0],
            views={m: 2 * (self.task.view_preset(m),)},
            recipe=Recipe(lr * self.options.lr_scale, schedule, "adamw"),
            loss=self.loss,
            batch_size=PAPER_BATCH_SIZE if paper else min(224, max(16, n // 16)),
            after_step=self.count_step,
        )
        return [phase]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The mean over sub-heads, of the main and the over-clustering head in turn."""
        views = [view.pixels for view in batch.views[self.task.modality]]
        fine = bool(self.options.over) and self.steps % 2 == 0
        features = batch.gather(self.encoders[self.task.modality](torch.cat(views)), stacked=2)
        terms = self.head_losses((self.fine if fine else self.heads)(features))
        return {"information": torch.stack(terms).mean()}

    def head_losses(self, scores: list[Tensor]) -> list[Tensor]:
        """The loss of each sub-head, from scores (2B, K) of one view of each item, then of another."""
        pairs = [torch.softmax(s.float(), dim=1).unflatten(0, (2, -1)) for s in scores]
        return [information_loss(p, q, self.lamb) for p, q in pairs]

    def count_step(self) -> None:
        self.steps += 1

    def predict(self, features: Features) -> Prediction:
        return Prediction([F.log_softmax(s.float(), dim=1) for s in self.heads(features.pooled[self.task.modality])])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """The sub-head of lowest loss over all items is reported."""
        modality = self.task.modality
        copies = torch.cat([data.features(modality, view=self.task.view_preset(modality), draw=d) for d in (2, 3)])
        losses = [float(x) for x in self.head_losses(self.heads(copies))]
        log_probs = self.predict(Features({modality: data.features(modality)})).log_probs
        notes = {"mass": "as found: information prefers equal masses", "losses": losses}
        return argmax_outcome(log_probs, lowest_loss_head(losses), notes)

    def extra_state(self) -> dict:
        return {"steps": self.steps}

    def load_extra_state(self, state: dict) -> None:
        self.steps = state["steps"]
