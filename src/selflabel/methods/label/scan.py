"""SCAN: learning to classify images without labels (Van Gansbeke, Vandenhende, Georgoulis, Proesmans & Van Gool, ECCV 2020).

The claim: features first, labels afterwards. Three phases: a pretext learns features (section 2.1); each item and one of its
nearest neighbours in them learn to have the same label, while the mean label keeps its entropy (section 2.2, equation 2); then
the network learns its own confident labels of a plain view under a strong view (section 2.3).

Several heads are trained side by side. The one of lowest loss over all items and neighbours at the end of the second phase is
reported, as in the paper for ImageNet, and the network learns from it alone in the third.

What we do otherwise: neighbours are found in the features, not in the pretext's projection. The other heads pass the third phase
without changing the network. On given or pretrained features the pretext is left out. Without `--preset paper` phases are as long
as a short run allows, and after the pretext the heads are first trained on its fixed features, as the authors' code can do,
because a short run has too few steps of the whole network.

Axes: N items, B items or pairs of a batch, M pairs of an epoch, D features, K labels, k neighbours.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.base.schedules import epochs_for_budget, one_cycle, scale_epochs
from selflabel.contract import (
    PRETEXT,
    PRETEXT_LR,
    Batch,
    Data,
    Features,
    Method,
    Outcome,
    Phase,
    Prediction,
    Recipe,
    argmax_outcome,
    do_nothing,
    lowest_loss_head,
)
from selflabel.heads import LinearHeads
from selflabel.methods.neighbour_pairs import draw_pairs, empty_neighbours, find_neighbours
from selflabel.methods.option_types import NonNegativeFloat, PositiveFloat, PositiveInt, Share
from selflabel.pretexts import PretextName, make_pretext

HEADS, CLUSTER, SELF_LABEL = "heads", "cluster", "self-label"
PAPER_EPOCHS = {PRETEXT: 500, CLUSTER: 50, SELF_LABEL: 200}
SHORT_RUN_ITEMS = {PRETEXT: 120_000, CLUSTER: 90_000, SELF_LABEL: 30_000}  # items shown in a short run
HEAD_STEPS, HEAD_EPOCHS = 200, 5  # of the heads on fixed features: fewest steps of an epoch, and epochs
PAPER_PRETEXT_LR = 1e-3
BATCH_SIZES = {HEADS: 128, CLUSTER: 128, SELF_LABEL: 256}
DEFAULT_CLUSTERS = 10


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of SCAN.

    Attributes:
        heads: heads side by side.
        neighbours: neighbours of an item.
        entropy: weight of the entropy of the mean label; 0 leaves it out.
        sure: confidence above which a label is learned in the third phase, 0 to 1.
        pretext: what the encoder learns first.
        temperature: temperature of the pretext, above 0.
        lr_scale: factor on the learning rates.
    """

    heads: PositiveInt = 10
    neighbours: PositiveInt = 20
    entropy: NonNegativeFloat = 5.0
    sure: Share = 0.99
    pretext: PretextName = "simclr"
    temperature: PositiveFloat = 0.2
    lr_scale: PositiveFloat = 1.0


def neighbour_loss(p_BK: Tensor, q_BK: Tensor, entropy: float) -> tuple[Tensor, Tensor]:
    """The two terms of equation 2: minus the log of each pair's inner product, and minus the entropy of the mean label.

    Args:
        p_BK, q_BK: (B, K) label probabilities of items and of one neighbour each.
        entropy: weight of the second term.
    """
    agreement = -(p_BK * q_BK).sum(dim=1).clamp(min=1e-8).log().mean()
    mean = p_BK.mean(dim=0)
    return agreement, entropy * (mean * mean.clamp(min=1e-8).log()).sum()


def confident_loss(plain_BK: Tensor, strong_BK: Tensor, threshold: float) -> Tensor:
    """Cross-entropy of the strong view to the label of the plain view where that is confident. Each label weighs the same.

    Args:
        plain_BK, strong_BK: (B, K) scores of the two views.
        threshold: confidence above which a label counts.
    """
    confidence, labels = torch.softmax(plain_BK, dim=1).max(dim=1)
    confident = confidence > threshold
    counts = torch.bincount(labels[confident], minlength=plain_BK.shape[1])
    weight = confident / (counts[labels].clamp(min=1) * (counts > 0).sum().clamp(min=1))
    return (weight * F.cross_entropy(strong_BK, labels, reduction="none")).sum()


class SCAN(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("neighbours_Nk",)
    neighbours_Nk: Tensor
    features_ND: Tensor  # precomputed for the heads

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)
        self.losses: list[float] = []

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        self.heads = LinearHeads(self.dim(self.task.modality), [self.clusters] * self.options.heads)
        if self.task.from_scratch:
            self.pretext = make_pretext(self.options.pretext, encoders, self.task, self.options.temperature)
        self.register_buffer("neighbours_Nk", empty_neighbours(self.task.n_items, self.options.neighbours))

    # ------------------------------------------------------------------------------------------------------- phases

    def phases(self) -> list[Phase]:
        names = [CLUSTER, SELF_LABEL]
        if self.task.from_scratch:
            names = [PRETEXT, HEADS, *names] if self.trains_heads_first else [PRETEXT, *names]
        epochs = dict(zip(names, self.epochs_of(names)))
        make = {PRETEXT: self.pretext_phase, HEADS: self.heads_phase, CLUSTER: self.cluster_phase, SELF_LABEL: self.label_phase}
        return [make[name](epochs[name]) for name in names]

    @property
    def trains_heads_first(self) -> bool:
        """Whether heads are first trained on fixed features, because a short run has few steps of the whole network."""
        return self.task.from_scratch and self.task.preset != "paper"

    def epochs_of(self, names: list[str]) -> list[int]:
        """The epochs of these phases."""
        published = PAPER_EPOCHS
        if self.task.preset != "paper":
            n, gpu = self.task.n_items, self.task.gpu
            published = {p: epochs_for_budget(n, items, 4, 100, gpu) for p, items in SHORT_RUN_ITEMS.items()}
            published[HEADS] = HEAD_EPOCHS
        return scale_epochs([published[name] for name in names], self.task.epochs)

    def pretext_phase(self, epochs: int) -> Phase:
        scale = self.options.lr_scale * (PAPER_PRETEXT_LR / PRETEXT_LR if self.task.preset == "paper" else 1.0)
        return self.pretext.phase(self.encoders, self.task, epochs, scale)

    def heads_phase(self, epochs: int) -> Phase:
        return Phase(
            name=HEADS,
            epochs=epochs,
            views={},
            recipe=self.recipe(),
            loss=self.heads_loss,
            batch_size=self.batch_size(HEADS),
            learns=("heads",),
            draw=self.draw_enough_pairs,
            start=self.mine_neighbours,
            precompute=self.precompute_features,
        )

    def cluster_phase(self, epochs: int) -> Phase:
        m = self.task.modality
        return Phase(
            name=CLUSTER,
            epochs=epochs,
            views={m: (self.task.view_preset(m, "-strong"),)},
            recipe=self.recipe(),
            loss=self.cluster_loss,
            batch_size=self.batch_size(CLUSTER),
            learns=("encoders", "heads"),
            draw=self.draw_pairs,
            start=do_nothing if self.trains_heads_first else self.mine_neighbours,
        )

    def label_phase(self, epochs: int) -> Phase:
        m = self.task.modality
        return Phase(
            name=SELF_LABEL,
            epochs=epochs,
            views={m: ("centre", self.task.view_preset(m, "-strong"))},
            recipe=self.recipe(),
            loss=self.self_label_loss,
            batch_size=self.batch_size(SELF_LABEL),
            learns=("encoders", "heads"),
            start=self.judge_heads,
        )

    def recipe(self) -> Recipe:
        short = 1e-2 if self.task.kind == "features" else 1e-3
        return Recipe((1e-4 if self.task.preset == "paper" else short) * self.options.lr_scale, one_cycle, "adamw", 1e-4)

    def batch_size(self, phase: str) -> int:
        return min(BATCH_SIZES[phase], max(16, self.task.n_items // 8))

    # -------------------------------------------------------------------------------------------------- hooks, draws

    def mine_neighbours(self, data: Data, generator: torch.Generator) -> None:
        self.neighbours_Nk = find_neighbours(data.features(self.task.modality), self.neighbours_Nk, data.groups_N)

    def precompute_features(self, data: Data) -> None:
        self.features_ND = data.features(self.task.modality)

    @torch.no_grad()
    def judge_heads(self, data: Data, generator: torch.Generator) -> None:
        """Compute every head's loss of the second phase over all items and all their neighbours, with an entropy weight of 1."""
        was_training = self.training
        features = Features({self.task.modality: data.features(self.task.modality)})
        soft = [p.exp() for p in self.eval().predict(features).log_probs]
        self.train(was_training)
        columns = self.neighbours_Nk.long().T
        terms = [[torch.stack(neighbour_loss(p, p[rows], 1.0)).sum() for rows in columns] for p in soft]
        self.losses = [float(torch.stack(of_head).mean()) for of_head in terms]

    def draw_pairs(self, epoch: int, generator: torch.Generator) -> Tensor:
        """(N, 2) every item and one of its neighbours."""
        return draw_pairs(self.neighbours_Nk, generator)

    def draw_enough_pairs(self, epoch: int, generator: torch.Generator) -> Tensor:
        """(M, 2) pairs of several passes over the items, enough for HEAD_STEPS steps."""
        passes = -(-HEAD_STEPS * self.batch_size(HEADS) // self.task.n_items)
        return draw_pairs(self.neighbours_Nk, generator, passes)

    # ------------------------------------------------------------------------------------------------------- losses

    def heads_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The second phase's loss on fixed features."""
        return self.pair_losses(self.features_ND[batch.gather(batch.rows_BG).reshape(-1)])

    def cluster_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Equation 2."""
        m = self.task.modality
        return self.pair_losses(batch.gather(self.encoders[m](batch.views[m][0].pixels)))

    def pair_losses(self, features: Tensor) -> dict[str, Tensor]:
        """Equation 2, averaged over heads, of (2B, D) features in which the two items of a pair are adjacent rows."""
        soft = [torch.softmax(s.float(), dim=1) for s in self.heads(features)]
        pairs = [neighbour_loss(p[::2], p[1::2], self.options.entropy) for p in soft]
        agreement, entropy = (torch.stack(x).mean() for x in zip(*pairs))
        return {"agreement": agreement, "entropy": entropy}

    def self_label_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Section 2.3, of every head; the encoder gets gradients from the reported head only."""
        m = self.task.modality
        encoder, (plain_view, strong_view) = self.encoders[m], batch.views[m]
        with torch.no_grad():
            plain = [s.float() for s in self.heads(batch.gather(encoder(plain_view.pixels)))]
        features, reported = batch.gather(encoder(strong_view.pixels)), lowest_loss_head(self.losses)
        strong = [
            s.float() if h == reported else detached.float()
            for h, (s, detached) in enumerate(zip(self.heads(features), self.heads(features.detach())))
        ]
        terms = [confident_loss(p, s, self.options.sure) for p, s in zip(plain, strong)]
        return {"sure": torch.stack(terms).sum()}

    # ------------------------------------------------------------------------------------------------------ the end

    def predict(self, features: Features) -> Prediction:
        return Prediction([F.log_softmax(s.float(), dim=1) for s in self.heads(features.pooled[self.task.modality])])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        log_probs = self.predict(Features({self.task.modality: data.features(self.task.modality)})).log_probs
        notes = {"mass": "as found, under a weight on the entropy of the mean label", "losses": self.losses}
        return argmax_outcome(log_probs, lowest_loss_head(self.losses), notes)

    def extra_state(self) -> dict:
        return {"losses": self.losses}

    def load_extra_state(self, state: dict) -> None:
        self.losses = state["losses"]
