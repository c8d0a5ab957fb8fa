"""SeLaVi: labelling unlabelled videos from scratch with multi-modal self-supervision (Asano et al., NeurIPS 2020).

The claim: picture and sound are two views of one item, so both networks learn one label, and the label is solved from both: the
transport kernel is (p_video * p_audio) ** (lambda / 2), the geometric mean of the two posteriors to the power lambda (section
3.1). Three things are added to SeLa: the modalities' heads are aligned before the first solve, label sizes follow a Gaussian
instead of being equal, and groups of heads are solved on different random clips, so that their labels decorrelate (section 3.2).

What we do otherwise: alignment is exact (the Hungarian method on the K x K agreement of the two posteriors; the published code
tries random swaps), and repeated if agreement rises by 5 %. Sizes are assigned to labels by rank of their current mass (the
published code does the reverse). A missing or silent track adds neither to the kernel nor to the loss. The reported head is the
one that the other heads agree with most.

The paper's comparisons are options (`labels=`). A *branch* is the input of one set of heads: one modality, or all of them
concatenated. A *shared-label group* is a list of branches that learn the same labels.

    shared   one group with a branch for each modality             SeLaVi
    joined   one group with one branch of all modalities           concatenated features
    apart    a group for each modality, matched after training     two separate clusterings

Axes: N items, B items of a batch or block, D features, H heads, K labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment import Assignment, plan, sinkhorn
from selflabel.assignment.alignment import contingency, hungarian
from selflabel.assignment.mass import Mass, resolve_mass
from selflabel.base.schedules import scale_epochs, solve_times
from selflabel.contract import Batch, Data, Features, Method, Outcome, Phase, Prediction, Recipe, Relabelling
from selflabel.evaluation.metrics import consensus_head
from selflabel.heads import Heads, LinearHeads, MLPHeads
from selflabel.methods.option_types import NonNegativeInt, PositiveFloat, PositiveInt

EPOCHS, SOLVES, POWER, BATCH_SIZE = 200, 100, 1.5, 16
LR, WARMUP = 0.01, 0.05  # learning rate for a batch of 16; share of the training in which it rises
MIN_GAIN = 0.05  # share of the items on which modalities must agree more for heads to be aligned again
HIDDEN, DROPOUT = 512, 0.3  # of the paper's heads
BLOCK = 4096  # items whose posteriors are computed at a time
DEFAULT_CLUSTERS = 128  # stored runs have heads of that size, also on fewer items; new ones say their number in `task.clusters`


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of SeLaVi.

    Attributes:
        labels: which branches share labels: those of each modality ("shared", as published), one branch of all modalities
            ("joined"), or none ("apart": matched after training).
        heads: heads, each with labels of its own.
        hidden: width of the heads' hidden layer, 0 for linear heads; None is the paper's with `--preset paper`, else 0.
        lamb: inverse temperature of the solve, above 0 (the paper's lambda).
        solves: label solves in all; None follows from the epochs.
        power: exponent of the spacing of the solves in time.
        align: match the modalities' heads before the first solve, and again if agreement rises by 5 % of the items.
        groups: groups of heads that are solved on different clips.
        views: random views of pictures and films, each a term of the loss.
        max_iter: iterations of the solver, at most.
        tol: error of a label's mass, relative to it, at which the solver stops.
        lr_scale: factor on the learning rate.
    """

    labels: Literal["shared", "joined", "apart"] = "shared"
    heads: PositiveInt = 10
    hidden: NonNegativeInt | None = None
    lamb: PositiveFloat = 20.0
    solves: PositiveInt | None = None
    power: PositiveFloat = POWER
    align: bool = True
    groups: PositiveInt = 2
    views: PositiveInt = 2
    max_iter: PositiveInt = 2000
    tol: PositiveFloat = 1e-1
    lr_scale: PositiveFloat = 1.0


def warmup_then_constant(progress: float) -> float:
    """Learning-rate factor."""
    return min(1.0, progress / WARMUP + 1e-3)


def shared_label_groups(modalities: tuple[str, ...], labels: str) -> list[list[str]]:
    """The branches of every shared-label group; a branch is named by its modalities, joined by "+".

    Example:
        >>> [shared_label_groups(("video", "audio"), labels) for labels in ("shared", "joined", "apart")]
        [[['video', 'audio']], [['video+audio']], [['video'], ['audio']]]
    """
    if labels == "joined":
        return [["+".join(modalities)]]
    return [list(modalities)] if labels == "shared" else [[m] for m in modalities]


def branch_input(branch: str, features: dict[str, Tensor], present: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(features (N, D), present (N,)) of a branch; features of a modality that an item lacks are zero."""
    modalities = branch.split("+")
    x = torch.cat([features[m] * present[m][:, None] for m in modalities], dim=1)
    return x, torch.stack([present[m] for m in modalities]).any(dim=0)


def blocks_of(features: Features) -> Iterator[Features]:
    """Some thousand items at a time."""
    for start in range(0, len(next(iter(features.pooled.values()))), BLOCK):
        rows = slice(start, start + BLOCK)
        yield Features({m: x[rows] for m, x in features.pooled.items()}, {m: x[rows] for m, x in features.present.items()})


class SeLaVi(Method):
    """See the module's docstring."""

    max_modalities = 2
    most_clusters = DEFAULT_CLUSTERS
    options_type = Options
    per_item = ("labels_HN",)
    labels_HN: Tensor  # a row for each head, group after group

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.head_sizes = [task.clusters or DEFAULT_CLUSTERS] * options.heads
        self.groups = shared_label_groups(task.modalities, options.labels)
        self.branches = [branch for group in self.groups for branch in group]
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dims = {branch: sum(self.dim(m) for m in branch.split("+")) for branch in self.branches}
        self.heads = nn.ModuleDict({branch: self.make_heads(dim) for branch, dim in dims.items()})
        generator = torch.Generator().manual_seed(self.task.seed)
        rows = len(self.groups) * self.head_sizes
        labels = torch.stack([torch.randperm(self.task.n_items, generator=generator) % k for k in rows])
        self.register_buffer("labels_HN", labels.to(torch.int32))

    def make_heads(self, dim: int) -> Heads:
        hidden = self.options.hidden
        if hidden is None:
            hidden = HIDDEN if self.task.preset == "paper" else 0
        if hidden:
            return MLPHeads(dim, self.head_sizes, hidden, dropout=DROPOUT)
        return LinearHeads(dim, self.head_sizes)

    def phases(self) -> list[Phase]:
        o = self.options
        epochs = scale_epochs([EPOCHS if self.task.preset == "paper" else EPOCHS // 5], self.task.epochs)[0]
        solves = max(2, round(SOLVES * epochs / EPOCHS)) if o.solves is None else o.solves
        batch_size = min(4 * BATCH_SIZE, max(BATCH_SIZE, self.task.n_items // 8))
        phase = Phase(
            name="self-label",
            epochs=epochs,
            views={m: (self.view_preset(m),) * (1 if m == "audio" else o.views) for m in self.task.modalities},
            recipe=Recipe(LR * batch_size / BATCH_SIZE * o.lr_scale, warmup_then_constant, weight_decay=1e-5),
            loss=self.loss,
            batch_size=batch_size,
            relabel_at=solve_times(epochs, solves, o.power),
        )
        return [phase]

    def view_preset(self, modality: str) -> str:
        """The preset of a modality's views: the paper's for films, a crop and a flip."""
        default = "selavi" if self.task.kind_of(modality) == "video" else self.task.view_preset(modality)
        return self.task.requested_views(modality) or default

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy to the labels of the branch's group, averaged over branches, views and heads."""
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long().view(len(self.groups), len(self.head_sizes), -1)
        features = {m: [self.encoders[m](view.pixels) for view in views] for m, views in batch.views.items()}
        whole = torch.ones(labels.shape[2], dtype=torch.bool, device=labels.device)
        present = {m: batch.present.get(m, whole) for m in features}
        terms = [self.branch_loss(b, y, features, present) for y, group in zip(labels, self.groups) for b in group]
        return {"label": torch.stack(terms).mean()}

    def branch_loss(
        self, branch: str, labels_HB: Tensor, features: dict[str, list[Tensor]], present: dict[str, Tensor]
    ) -> Tensor:
        """A branch's cross-entropy, averaged over its views, its heads, and the items that have its modality.

        Args:
            branch: name of the branch.
            labels_HB: (H, B) labels of its group.
            features: modality to (B, D) of each view.
            present: modality to (B,).
        """
        n_views = max(len(features[m]) for m in branch.split("+"))
        losses = []
        for i in range(n_views):
            of_view = {m: views[i % len(views)] for m, views in features.items()}
            x, is_present = branch_input(branch, of_view, present)
            for s, y in zip(self.heads[branch](x), labels_HB):
                each = F.cross_entropy(s.float(), y, reduction="none")
                losses.append((each * is_present).sum() / is_present.sum().clamp(min=1))
        return torch.stack(losses).mean()

    # ------------------------------------------------------------------------------------------------- the label turn

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Solve the labels of all heads, each group of heads on other random clips."""
        order = torch.randperm(len(self.head_sizes), generator=generator)
        solutions: list[Assignment] = []
        for g, heads in enumerate(order.chunk(self.options.groups)):
            features = Features(self.clip_features(data, draw=self.turn * self.options.groups + g), data.present)
            for i, group in enumerate(self.groups):
                if self.options.align:
                    self.align(features, group, heads.tolist())
                solved = self.solve(features, group, heads.tolist())
                for h, solution in zip(heads.tolist(), solved):
                    self.labels_HN[i * len(self.head_sizes) + h] = solution.labels.to(self.labels_HN)
                solutions += solved
        self.turn += 1
        worst = max(solutions, key=lambda a: a.error)
        n_iter = max(a.n_iter for a in solutions)
        return Relabelling(self.current_labels(), error=worst.error, n_iter=n_iter, converged=worst.converged)

    def clip_features(self, data: Data, draw: int) -> dict[str, Tensor]:
        """Features of random clips and crops, which differ between draws."""
        return {m: data.features(m, view=self.view_preset(m), draw=draw) for m in self.task.modalities}

    def align(self, features: Features, branches: list[str], heads: list[int]) -> None:
        """Reorder the labels of every branch but the first so that its posteriors agree most with those of the first.

        Before the first solve any gain counts; later, when the network has learned the labels, MIN_GAIN of the items must agree
        more.
        """
        agreement = {(b, h): torch.zeros(k, k, dtype=torch.float64) for b in branches[1:] for h, k in enumerate(self.head_sizes)}
        for block in blocks_of(features):
            (_, first_present, first_logs), *others = self.branch_log_probs(block, branches)
            for b, present, logs in others:
                both = first_present & present
                for h in heads:
                    agreement[b, h] += (first_logs[h][both].exp().T @ logs[h][both].exp()).double().cpu()
        for b in branches[1:]:
            for h in heads:
                table = agreement[b, h].numpy()
                rows, order = hungarian(table)
                gain = (table[rows, order].sum() - np.trace(table)) / max(1.0, table.sum())
                if gain > (MIN_GAIN if self.turn else 0):
                    self.reorder(b, h, order)

    def reorder(self, branch: str, head: int, order: np.ndarray) -> None:
        """Label k of the head becomes what was its label order[k]."""
        for part in self.weight_and_bias(branch, head):
            part.copy_(part[torch.from_numpy(order).to(part.device)].clone())

    def weight_and_bias(self, branch: str, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, D), bias (K,)) of the last layer of one head of a branch."""
        heads = self.heads[branch]
        assert isinstance(heads, (LinearHeads, MLPHeads))
        return heads.weight_and_bias(head)

    def solve(self, features: Features, branches: list[str], heads: list[int]) -> list[Assignment]:
        """Labels of these heads from the joint scores of the branches."""
        scores, mass, epsilon = self.joint_scores(features, branches, heads), self.mass(), 1 / self.options.lamb
        shares = [mass.shares(s, epsilon, self.task.seed * 101 + h) for h, s in zip(heads, scores)]
        return sinkhorn(scores, epsilon, shares, mass.relax, self.options.tol, self.options.max_iter)

    def mass(self) -> Mass:
        return resolve_mass(self.task.mass, default="gaussian")

    def joint_scores(self, features: Features, branches: list[str], heads: list[int]) -> list[Tensor]:
        """(N, K) of each head: log of the geometric mean of the posteriors of the branches whose modality an item has."""
        parts = []
        for block in blocks_of(features):
            posteriors = self.branch_log_probs(block, branches)
            share = 1 / torch.stack([is_present for _, is_present, _ in posteriors]).float().sum(dim=0).clamp(min=1)
            weighted = [((is_present * share)[:, None], logs) for _, is_present, logs in posteriors]
            parts.append([torch.stack([weight * logs[h] for weight, logs in weighted]).sum(dim=0) for h in heads])
        return [torch.cat(of_head) for of_head in zip(*parts)]

    def branch_log_probs(self, block: Features, branches: list[str]) -> list[tuple[str, Tensor, list[Tensor]]]:
        """(branch, which items have its modality (B,), log-probabilities (B, K) of each head) of every branch."""
        posteriors = []
        for branch in branches:
            x, is_present = branch_input(branch, block.pooled, block.present)
            posteriors.append((branch, is_present, [F.log_softmax(s.float(), dim=1) for s in self.heads[branch](x)]))
        return posteriors

    def predict(self, features: Features) -> Prediction:
        block = Features(*features.filled({m: self.dim(m) for m in self.task.modalities}))
        posteriors = self.branch_log_probs(block, self.branches)
        logs = [[features.counts(b, is_present)[:, None] * log for log in heads] for b, is_present, heads in posteriors]
        return Prediction([F.log_softmax(torch.stack(each).sum(dim=0), dim=1) for each in zip(*logs)])

    # ------------------------------------------------------------------------------------------------------ the end

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """Labels from all branches; the head that the others agree with most is reported."""
        features = Features({m: data.features(m) for m in self.task.modalities}, data.present)
        self.match_groups(features)
        solutions = self.solve(features, self.branches, list(range(len(self.head_sizes))))
        labels = [a.labels for a in solutions]
        head = consensus_head(labels)
        rows = plan(self.joint_scores(features, self.branches, [head])[0], solutions[head]).half()
        return Outcome(labels, head, rows, self.mass().notes(solutions[head]))

    def match_groups(self, features: Features) -> None:
        """Match the labels of separate groups one to one, so that most items agree."""
        if len(self.groups) == 1:
            return
        heads = list(range(len(self.head_sizes)))
        first, *others = (self.solve(features, group, heads) for group in self.groups)
        for solutions, group in zip(others, self.groups[1:]):
            for h, (a, b) in enumerate(zip(first, solutions)):
                K = self.head_sizes[h]
                order = hungarian(contingency(a.labels.cpu().numpy(), b.labels.cpu().numpy(), K, K))[1]
                for branch in group:
                    self.reorder(branch, h, order)

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
