"""SeLaVi: labelling unlabelled videos from scratch with multi-modal self-supervision (Asano et al., NeurIPS 2020).

The claim: what is seen and what is heard are two views of one item, so both networks learn one label, and the label is
solved from both: the transport kernel is (p_video * p_audio) ** (lambda / 2), the geometric mean of the two posteriors to
the power lambda (section 3.1). Three things are added to SeLa: the modalities' heads are aligned before the first solve,
label sizes follow a Gaussian instead of being equal, and groups of heads are solved on different random clips, so that
their labels decorrelate (section 3.2).

What we do otherwise: alignment is exact (the Hungarian method on the K x K agreement of the two posteriors; the published code
tries random swaps); sizes are dealt to the labels that want them (the published code deals them the other way round); a missing
or silent track adds neither to the kernel nor to the loss; the reported head is the one that the others agree with most.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, LinearScores, marginals, plan, sinkhorn
from selflabel.assignment.alignment import hungarian
from selflabel.evaluation.metrics import most_agreed
from selflabel.heads import LinearHeads
from selflabel.methods.base import (
    Batch,
    Data,
    Final,
    Method,
    Phase,
    Prediction,
    Recipe,
    Relabelling,
    scaled_epochs,
    spaced,
)

EPOCHS, SOLVES, POWER, BATCH = 200, 100, 1.5, 16
LR_A_BATCH, WARM = 0.01, 0.05  # of the learning rate: for a batch of 16; and the share of training that it rises for
RELAX = 0.3  # with --mass relaxed


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """heads: heads with their own labels each. lamb: lambda. solves, power: how many label solves, and their spacing in time.
    align: match the modalities' heads before the first solve. groups: groups of heads that see different clips at a solve.
    views: random views of pictures and films, each a term of the loss. max_iter, tol: of the solver. lr_scale: a factor on the
    learning rate.
    """

    heads: int = 10
    lamb: float = 20.0
    solves: int | None = None
    power: float = POWER
    align: bool = True
    groups: int = 2
    views: int = 2
    max_iter: int = 2000
    tol: float = 1e-1
    lr_scale: float = 1.0


def warm_then_flat(progress: float) -> float:
    return min(1.0, progress / WARM + 1e-3)


def head_of(heads: nn.ModuleDict, modality: str, head: int) -> tuple[Tensor, Tensor]:
    """(weight (K, D), bias (K,)) of one head of a modality."""
    found = heads[modality]
    assert isinstance(found, LinearHeads)
    return found.of(head)


class SeLaVi(Method):
    """See the module's docstring."""

    most_modalities = 2
    options_type = Options
    per_item = ("labels_HN",)
    labels_HN: Tensor

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.head_sizes = [task.clusters or 128] * options.heads
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        self.heads = nn.ModuleDict({m: LinearHeads(self.dim(m), self.head_sizes) for m in self.task.modalities})
        generator = torch.Generator().manual_seed(self.task.seed)
        order = [torch.randperm(self.task.n_items, generator=generator) for _ in self.head_sizes]
        labels = torch.stack([o % k for o, k in zip(order, self.head_sizes)])
        self.register_buffer("labels_HN", labels.to(torch.int32))

    def phases(self) -> list[Phase]:
        o = self.options
        epochs = scaled_epochs([EPOCHS if self.task.preset == "paper" else EPOCHS // 5], self.task.epochs)[0]
        solves = o.solves or max(2, round(SOLVES * epochs / EPOCHS))
        batch = min(4 * BATCH, max(BATCH, self.task.n_items // 8))
        recipe = Recipe(LR_A_BATCH * batch / BATCH * o.lr_scale, warm_then_flat, weight_decay=1e-5)
        views = {m: (self.view_of(m),) * (1 if m == "audio" else o.views) for m in self.task.modalities}
        return [Phase("self-label", epochs, views, recipe, batch, spaced(epochs, solves, o.power))]

    def view_of(self, modality: str) -> str:
        kind = self.task.kind_of(modality)
        return self.task.views if self.task.views != "auto" else {"features": "dropout"}.get(kind, kind)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The mean over modalities, views and heads of the cross-entropy to the shared labels."""
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long()
        terms = []
        for m, views in batch.views.items():
            has = batch.present.get(m, torch.ones(labels.shape[1], dtype=torch.bool, device=labels.device))
            for view in views:
                scores = self.heads[m](self.encoders[m](view))
                each = torch.stack([F.cross_entropy(s.float(), y, reduction="none") for s, y in zip(scores, labels)])
                terms.append((each * has).sum() / (has.sum().clamp(min=1) * len(each) * len(views)))
        return {"label": torch.stack(terms).sum() / len(batch.views)}

    # ------------------------------------------------------------------------------------------------- the label turn

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        order = torch.randperm(len(self.head_sizes), generator=generator)
        solved: list[Assignment] = []
        for g, group in enumerate(order.chunk(self.options.groups)):
            features = self.clips(data, draw=self.turn * self.options.groups + g)
            if self.turn == 0 and self.options.align:
                for h in group.tolist():
                    self.align(features, data.present, h)
            found = self.solve(features, data.present, group.tolist())
            for h, a in zip(group.tolist(), found):
                self.labels_HN[h] = a.labels.to(self.labels_HN)
            solved += found
        self.turn += 1
        worst = max(solved, key=lambda a: a.error)
        return Relabelling(self.current_labels(), worst.error, max(a.n_iter for a in solved), worst.converged)

    def clips(self, data: Data, draw: int) -> dict[str, Tensor]:
        """Features of random clips and crops, which are others at every draw."""
        return {m: data.features(m, view=self.view_of(m), draw=draw) for m in self.task.modalities}

    def align(self, features: dict[str, Tensor], present: dict[str, Tensor], head: int) -> None:
        """Reorder a head's labels in every further modality so that they agree most with the first's."""
        first, *others = self.task.modalities
        for m in others:
            both = (present[first] & present[m]).nonzero()[:, 0]
            p, q = (torch.softmax(F.linear(features[x][both], *head_of(self.heads, x, head)).float(), dim=1) for x in (first, m))
            match = torch.from_numpy(hungarian((p.T @ q).double().cpu().numpy())[1])
            weight, bias = head_of(self.heads, m, head)
            weight.copy_(weight[match.to(weight.device)].clone())
            bias.copy_(bias[match.to(bias.device)].clone())

    def solve(self, features: dict[str, Tensor], present: dict[str, Tensor], heads: list[int]) -> list[Assignment]:
        scores = self.joint_scores(features, present, heads)
        relax = RELAX if self.task.mass == "relaxed" else None
        epsilon = 1 / self.options.lamb
        mass = [marginals.asked(self.mass_name(), s, epsilon, self.task.seed * 101 + h) for h, s in zip(heads, scores)]
        return sinkhorn(scores, epsilon, mass, relax, self.options.tol, self.options.max_iter)

    def mass_name(self) -> str:
        return {"auto": "gaussian", "relaxed": "uniform"}.get(self.task.mass, self.task.mass)

    def joint_scores(self, features: dict[str, Tensor], present: dict[str, Tensor], heads: list[int]) -> list[LinearScores]:
        """log of the geometric mean of an item's posteriors, up to a constant a row: one linear head on all features."""
        share = 1 / torch.stack([present[m] for m in features]).float().sum(dim=0).clamp(min=1)
        weights = {m: (present[m] * share)[:, None] for m in features}
        joined = torch.cat([torch.cat([x * weights[m], weights[m]], dim=1) for m, x in features.items()], dim=1)
        found = []
        for h in heads:
            of = [head_of(self.heads, m, h) for m in features]
            found.append(LinearScores(joined, torch.cat([torch.cat([w, b[:, None]], dim=1) for w, b in of], dim=1)))
        return found

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        logs = []
        for m, x in block.items():
            has = torch.ones(len(x), device=x.device) if present is None else present[m].float()
            logs.append([has[:, None] * F.log_softmax(s.float(), dim=1) for s in self.heads[m](x)])
        return Prediction([F.log_softmax(torch.stack(each).sum(dim=0), dim=1) for each in zip(*logs)])

    def final(self, data: Data, generator: torch.Generator) -> Final:
        features = {m: data.features(m) for m in self.task.modalities}
        every = list(range(len(self.head_sizes)))
        solved = self.solve(features, data.present, every)
        labels = [a.labels for a in solved]
        head = most_agreed(labels)
        rows = plan(self.joint_scores(features, data.present, [head])[0], solved[head]).half()
        mass = "KL-relaxed" if self.task.mass == "relaxed" else marginals.TITLES[self.mass_name()]
        return Final(labels, head, rows, {"mass": mass, "mass_error": solved[head].error, "converged": solved[head].converged})

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
