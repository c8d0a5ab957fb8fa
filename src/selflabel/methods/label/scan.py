"""SCAN: learning to classify images without labels (Van Gansbeke, Vandenhende, Georgoulis, Proesmans & Van Gool, ECCV 2020).

The claim: features first, labels afterwards. Three phases: a pretext learns features (section 2.1); each item and one of its
nearest neighbours in them learn to have the same label, while the mean label keeps its entropy (section 2.2, equation 2); then
what the network is sure of under a plain view it learns under a strong one (section 2.3).

Several heads learn side by side; the one of least loss over all items and neighbours when the second phase ends is reported, as
the paper does for ImageNet, and the network learns of it alone in the third.

What we do otherwise: neighbours are found in the features, not in the pretext's projection; the other heads pass the third phase
without moving the network; on given or pretrained features the pretext is left out; without `--preset paper` phases are as long
as a short run allows, and after the pretext heads first learn alone on its features, as the authors' code can do, since a short
run has too few steps of the whole network.
"""

from __future__ import annotations

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
from selflabel.heads import LinearHeads
from selflabel.pretexts import LR, PRETEXT, Name, Pretext, pretext_phase

HEADS, CLUSTER, SELF_LABEL = "heads", "cluster", "self-label"
PAPER_EPOCHS = {PRETEXT: 500, CLUSTER: 50, SELF_LABEL: 200}
SHOWN = {PRETEXT: 120_000, CLUSTER: 90_000, SELF_LABEL: 30_000}  # items of a quick run
HEAD_STEPS, HEAD_EPOCHS = 200, 5  # of heads alone: steps of an epoch at least, and epochs
PAPER_PRETEXT_LR = 1e-3
BATCHES = {HEADS: 128, CLUSTER: 128, SELF_LABEL: 256}


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: side by side. neighbours: mined an item. entropy: its weight. sure: confidence above which a label is learned.
    pretext: which. temperature: of the pretext. lr_scale: a factor on the learning rates.
    """

    heads: int = 10
    neighbours: int = 20
    entropy: float = 5.0
    sure: float = 0.99
    pretext: Name = "simclr"
    temperature: float = 0.2
    lr_scale: float = 1.0


def neighbour_loss(p_BK: Tensor, q_BK: Tensor, entropy: float) -> tuple[Tensor, Tensor]:
    """Minus the log of each pair's inner product, and minus the weighted entropy of the mean label (equation 2)."""
    agreement = -(p_BK * q_BK).sum(dim=1).clamp(min=1e-8).log().mean()
    mean = p_BK.mean(dim=0)
    return agreement, entropy * (mean * mean.clamp(min=1e-8).log()).sum()


def sure_loss(plain_BK: Tensor, strong_BK: Tensor, sure: float) -> Tensor:
    """Cross-entropy of the strong view's scores to the plain view's label where that is sure, each label weighing the same."""
    confidence, labels = torch.softmax(plain_BK, dim=1).max(dim=1)
    known = confidence > sure
    counts = torch.bincount(labels[known], minlength=plain_BK.shape[1])
    share = known / (counts[labels].clamp(min=1) * (counts > 0).sum().clamp(min=1))
    return (share * F.cross_entropy(strong_BK, labels, reduction="none")).sum()


class SCAN(Method):
    """See the module's docstring."""

    options_type = Options
    per_item = ("neighbours_Nk",)
    neighbours_Nk: Tensor
    features_ND: Tensor  # remembered

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.clusters or min(10, task.n_items)
        self.losses: list[float] = []

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        encoder = encoders[self.task.modality]
        self.heads = LinearHeads(self.dim(self.task.modality), [self.clusters] * self.options.heads)
        if self.task.starts_from_nothing:
            self.pretext = Pretext(self.options.pretext, encoder, self.options.temperature, self.task.n_items)
        n = self.task.n_items
        self.register_buffer("neighbours_Nk", torch.zeros(n, min(self.options.neighbours, max(1, n // 10)), dtype=torch.int32))

    def phases(self) -> list[Phase]:
        m, paper = self.task.modality, self.task.preset == "paper"
        names = [CLUSTER, SELF_LABEL]
        if self.task.starts_from_nothing:
            names = [PRETEXT, HEADS, *names] if self.heads_alone else [PRETEXT, *names]
        quick = {p: quick_epochs(self.task, shown, 4, 100) for p, shown in SHOWN.items()} | {HEADS: HEAD_EPOCHS}
        epochs = dict(zip(names, scaled_epochs([(PAPER_EPOCHS if paper else quick)[p] for p in names], self.task.epochs)))
        strong = self.view_of(m, "-strong")
        views: dict[str, tuple[str, ...]] = {HEADS: (), CLUSTER: (strong,), SELF_LABEL: ("centre", strong)}
        learns = {HEADS: ("heads",), CLUSTER: ("encoders", "heads"), SELF_LABEL: ("encoders", "heads")}
        later = [
            Phase(p, epochs[p], {m: views[p]} if views[p] else {}, self.recipe(), self.batch(p), learns=learns[p])
            for p in names
            if p != PRETEXT
        ]
        if not self.task.starts_from_nothing:
            return later
        scale = self.options.lr_scale * (PAPER_PRETEXT_LR / LR if paper else 1.0)
        first = pretext_phase(self.options.pretext, m, self.view_of(m), epochs[PRETEXT], self.task.n_items, scale)
        return [first, *later]

    @property
    def heads_alone(self) -> bool:
        """Whether heads first learn on features that are not shown anew: a short run has few steps of the whole network."""
        return self.task.starts_from_nothing and self.task.preset != "paper"

    def recipe(self) -> Recipe:
        quick = 1e-2 if self.task.kind == "features" else 1e-3
        return Recipe((1e-4 if self.task.preset == "paper" else quick) * self.options.lr_scale, one_cycle, "adamw", 1e-4)

    def batch(self, phase: str) -> int:
        return min(BATCHES[phase], max(16, self.task.n_items // 8))

    def start(self, phase: Phase, data: Data, generator: torch.Generator) -> None:
        if phase.name == (HEADS if self.heads_alone else CLUSTER):
            found = nearest(data.features(self.task.modality), self.neighbours_Nk.shape[1]).rows
            self.neighbours_Nk = found.to(self.neighbours_Nk)
        if phase.name == SELF_LABEL:
            self.losses = self.judged(data)

    def remember(self, phase: Phase, data: Data) -> None:
        if phase.name == HEADS:
            self.features_ND = data.features(self.task.modality)

    def draw(self, phase: Phase, epoch: int, generator: torch.Generator) -> Tensor:
        """In the second phase pairs: an item, and any of its neighbours; for heads alone as many as are enough steps."""
        passes = -(-HEAD_STEPS * phase.batch // self.task.n_items) if phase.name == HEADS else 1
        rows = torch.cat([super(SCAN, self).draw(phase, epoch, generator) for _ in range(passes)])
        return with_a_neighbour(rows, self.neighbours_Nk, generator) if phase.name in (HEADS, CLUSTER) else rows

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        if batch.phase == HEADS:
            return self.pair_losses(self.features_ND[batch.every(batch.rows_BG).reshape(-1)])
        views, encoder = batch.views[self.task.modality], self.encoders[self.task.modality]
        if batch.phase == PRETEXT:
            return {"pretext": self.pretext.loss(encoder, views, batch.every)}
        if batch.phase == CLUSTER:
            return self.pair_losses(batch.every(encoder(views[0])))
        with torch.no_grad():
            plain = [s.float() for s in self.heads(batch.every(encoder(views[0])))]
        features, chosen = batch.every(encoder(views[1])), least(self.losses)
        strong = [
            s.float() if h == chosen else alone.float()
            for h, (s, alone) in enumerate(zip(self.heads(features), self.heads(features.detach())))
        ]
        return {"sure": torch.stack([sure_loss(p, s, self.options.sure) for p, s in zip(plain, strong)]).sum()}

    def pair_losses(self, features: Tensor) -> dict[str, Tensor]:
        """The mean over heads of the second phase's losses, of rows that come as pairs, one after the other."""
        soft = [torch.softmax(s.float(), dim=1) for s in self.heads(features)]
        pairs = [neighbour_loss(p[::2], p[1::2], self.options.entropy) for p in soft]
        agreement, entropy = (torch.stack(x).mean() for x in zip(*pairs))
        return {"agreement": agreement, "entropy": entropy}

    def after_step(self) -> None:
        if self.task.starts_from_nothing:
            self.pretext.after_step(self.encoders[self.task.modality])

    @torch.no_grad()
    def judged(self, data: Data) -> list[float]:
        """The second phase's loss of every head over all items and all their neighbours, entropy weighing one."""
        was = self.training
        soft = [p.exp() for p in self.eval().predict({self.task.modality: data.features(self.task.modality)}).log_probs]
        self.train(was)
        columns = self.neighbours_Nk.long().T
        return [float(torch.stack([torch.stack(neighbour_loss(p, p[rows], 1.0)).sum() for rows in columns]).mean()) for p in soft]

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        return Prediction([F.log_softmax(s.float(), dim=1) for s in self.heads(block[self.task.modality])])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        log_probs = self.predict({self.task.modality: data.features(self.task.modality)}).log_probs
        notes = {"mass": "as found, under a weight on the entropy of the mean label", "losses": self.losses}
        return finished(log_probs, least(self.losses), notes)

    def extra_state(self) -> dict:
        return {"losses": self.losses}

    def load_extra_state(self, state: dict) -> None:
        self.losses = state["losses"]
