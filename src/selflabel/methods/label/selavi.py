"""SeLaVi: labelling unlabelled videos from scratch with multi-modal self-supervision (Asano et al., NeurIPS 2020).

The claim: what is seen and what is heard are two views of one item, so both networks learn one label, and the label is
solved from both: the transport kernel is (p_video * p_audio) ** (lambda / 2), the geometric mean of the two posteriors to
the power lambda (section 3.1). Three things are added to SeLa: the modalities' heads are aligned before the first solve,
label sizes follow a Gaussian instead of being equal, and groups of heads are solved on different random clips, so that
their labels decorrelate (section 3.2).

What we do otherwise: alignment is exact (the Hungarian method on the K x K agreement of the two posteriors; the published code
tries random swaps) and repeated where it pays; sizes are dealt to the labels that want them (the published code deals them the
other way round); a missing or silent track adds neither to the kernel nor to the loss; the reported head is the one that the
others agree with most.

The paper's comparisons are options (`labels=`). A *voter* is what one head sees: a modality, or all of them side by side. A
*ballot* is the voters that share a label.

    shared   one ballot, a voter a modality                  SeLaVi
    joined   one ballot, one voter that sees all             concatenation of features
    apart    a ballot a modality, matched after training     two separate sets of clusters
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

from selflabel.assignment import Assignment, marginals, plan, sinkhorn
from selflabel.assignment.alignment import contingency, hungarian
from selflabel.contract import (
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
from selflabel.evaluation.metrics import most_agreed
from selflabel.heads import Heads, LinearHeads, MLPHeads

EPOCHS, SOLVES, POWER, BATCH = 200, 100, 1.5, 16
LR_A_BATCH, WARM = 0.01, 0.05  # of the learning rate: for a batch of 16; and the share of training that it rises for
RELAX = 0.3  # with --mass relaxed
PAYS = 0.05  # share of the items on which modalities must agree more for heads to be aligned again
HIDDEN, DROPOUT = 512, 0.3  # of the paper's heads
BLOCK = 4096  # items whose posteriors are made at a time


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """labels: who shares a label (see the module's docstring). heads: heads with their own labels each. hidden: width of their
    hidden layer, 0 for linear heads; None is the paper's with its preset, else 0. lamb: lambda. solves, power: how many label
    solves, and their spacing in time. align: match the modalities' heads before the first solve, and again where it pays. groups:
    groups of heads that see different clips at a solve. views: random views of pictures and films, each a term of the loss.
    max_iter, tol: of the solver. lr_scale: a factor on the learning rate.
    """

    labels: Literal["shared", "joined", "apart"] = "shared"
    heads: int = 10
    hidden: int | None = None
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


def ballots_of(modalities: tuple[str, ...], labels: str) -> list[list[str]]:
    """The voters of every ballot.

    Example:
        >>> [ballots_of(("video", "audio"), labels) for labels in ("shared", "joined", "apart")]
        [[['video', 'audio']], [['video+audio']], [['video'], ['audio']]]
    """
    if labels == "joined":
        return [["+".join(modalities)]]
    return [list(modalities)] if labels == "shared" else [[m] for m in modalities]


def seen_by(voter: str, features: dict[str, Tensor], present: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(features (N, D), has (N,)) of a voter; what it lacks of them is nought."""
    parts = voter.split("+")
    seen = torch.cat([features[m] * present[m][:, None] for m in parts], dim=1)
    return seen, torch.stack([present[m] for m in parts]).any(dim=0)


def in_blocks(features: dict[str, Tensor], present: dict[str, Tensor]) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """(features, present) of some thousand items at a time."""
    for start in range(0, len(next(iter(features.values()))), BLOCK):
        rows = slice(start, start + BLOCK)
        yield {m: x[rows] for m, x in features.items()}, {m: has[rows] for m, has in present.items()}


class SeLaVi(Method):
    """See the module's docstring."""

    most_modalities = 2
    options_type = Options
    per_item = ("labels_HN",)
    labels_HN: Tensor  # a row a head, ballot after ballot

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.head_sizes = [task.clusters or 128] * options.heads
        self.ballots = ballots_of(task.modalities, options.labels)
        self.voters = [voter for ballot in self.ballots for voter in ballot]
        self.turn = 0

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        dims = {voter: sum(self.dim(m) for m in voter.split("+")) for voter in self.voters}
        self.heads = nn.ModuleDict({voter: self.make_heads(dim) for voter, dim in dims.items()})
        generator = torch.Generator().manual_seed(self.task.seed)
        rows = len(self.ballots) * self.head_sizes
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
        epochs = scaled_epochs([EPOCHS if self.task.preset == "paper" else EPOCHS // 5], self.task.epochs)[0]
        solves = o.solves or max(2, round(SOLVES * epochs / EPOCHS))
        batch = min(4 * BATCH, max(BATCH, self.task.n_items // 8))
        recipe = Recipe(LR_A_BATCH * batch / BATCH * o.lr_scale, warm_then_flat, weight_decay=1e-5)
        views = {m: (self.shown_as(m),) * (1 if m == "audio" else o.views) for m in self.task.modalities}
        return [Phase("self-label", epochs, views, recipe, batch, spaced(epochs, solves, o.power))]

    def shown_as(self, modality: str) -> str:
        """The preset of a modality's views: the paper's for films, a crop and a flip."""
        paper = "selavi" if self.task.kind_of(modality) == "video" else self.view_of(modality)
        return self.task.views_asked(modality) or paper

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The mean over voters, views and heads of the cross-entropy to the labels of the voter's ballot."""
        labels = self.labels_HN[:, batch.rows_BG[:, 0]].long().view(len(self.ballots), len(self.head_sizes), -1)
        features = {m: [self.encoders[m](view) for view in views] for m, views in batch.views.items()}
        whole = torch.ones(labels.shape[2], dtype=torch.bool, device=labels.device)
        present = {m: batch.present.get(m, whole) for m in features}
        terms = [self.term(v, y, features, present) for y, ballot in zip(labels, self.ballots) for v in ballot]
        return {"label": torch.stack(terms).mean()}

    def term(self, voter: str, labels_HB: Tensor, features: dict[str, list[Tensor]], present: dict[str, Tensor]) -> Tensor:
        """A voter's cross-entropy: the mean over its views, heads, and the items it sees."""
        views = max(len(features[m]) for m in voter.split("+"))
        losses = []
        for i in range(views):
            x, has = seen_by(voter, {m: of[i % len(of)] for m, of in features.items()}, present)
            for s, y in zip(self.heads[voter](x), labels_HB):
                each = F.cross_entropy(s.float(), y, reduction="none")
                losses.append((each * has).sum() / has.sum().clamp(min=1))
        return torch.stack(losses).mean()

    # ------------------------------------------------------------------------------------------------- the label turn

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        order = torch.randperm(len(self.head_sizes), generator=generator)
        solved: list[Assignment] = []
        for g, group in enumerate(order.chunk(self.options.groups)):
            features = self.clips(data, draw=self.turn * self.options.groups + g)
            for b, ballot in enumerate(self.ballots):
                if self.options.align:
                    self.align(features, data.present, ballot, group.tolist())
                found = self.solve(features, data.present, ballot, group.tolist())
                for h, a in zip(group.tolist(), found):
                    self.labels_HN[b * len(self.head_sizes) + h] = a.labels.to(self.labels_HN)
                solved += found
        self.turn += 1
        worst = max(solved, key=lambda a: a.error)
        return Relabelling(self.current_labels(), worst.error, max(a.n_iter for a in solved), worst.converged)

    def clips(self, data: Data, draw: int) -> dict[str, Tensor]:
        """Features of random clips and crops, which are others at every draw."""
        return {m: data.features(m, view=self.shown_as(m), draw=draw) for m in self.task.modalities}

    def align(self, features: dict[str, Tensor], present: dict[str, Tensor], voters: list[str], heads: list[int]) -> None:
        """Reorder the labels of every further voter so that its posteriors agree most with the first's, where that pays: before
        the first solve at any gain; later, when what was learned is moved, where PAYS of the items more would be agreed on.
        """
        agreement = {(v, h): torch.zeros(k, k, dtype=torch.float64) for v in voters[1:] for h, k in enumerate(self.head_sizes)}
        for block, here in in_blocks(features, present):
            (_, seen, logs), *others = self.votes(block, here, voters)
            for v, seen_too, logs_too in others:
                both = seen & seen_too
                for h in heads:
                    agreement[v, h] += (logs[h][both].exp().T @ logs_too[h][both].exp()).double().cpu()
        for v in voters[1:]:
            for h in heads:
                table = agreement[v, h].numpy()
                rows, order = hungarian(table)
                gained = (table[rows, order].sum() - np.trace(table)) / max(1.0, table.sum())
                if gained > (PAYS if self.turn else 0):
                    self.reorder(v, h, order)

    def reorder(self, voter: str, head: int, order: np.ndarray) -> None:
        """Label k of this head is what was its label order[k]."""
        for part in self.head_of(voter, head):
            part.copy_(part[torch.from_numpy(order).to(part.device)].clone())

    def head_of(self, voter: str, head: int) -> tuple[Tensor, Tensor]:
        """(weight (K, D), bias (K,)) of the last layer of one head of a voter."""
        found = self.heads[voter]
        assert isinstance(found, (LinearHeads, MLPHeads))
        return found.of(head)

    def solve(
        self, features: dict[str, Tensor], present: dict[str, Tensor], voters: list[str], heads: list[int]
    ) -> list[Assignment]:
        scores = self.joint_scores(features, present, voters, heads)
        relax = RELAX if self.task.mass == "relaxed" else None
        epsilon = 1 / self.options.lamb
        mass = [marginals.asked(self.mass_name(), s, epsilon, self.task.seed * 101 + h) for h, s in zip(heads, scores)]
        return sinkhorn(scores, epsilon, mass, relax, self.options.tol, self.options.max_iter)

    def mass_name(self) -> str:
        return {"auto": "gaussian", "relaxed": "uniform"}.get(self.task.mass, self.task.mass)

    def joint_scores(
        self, features: dict[str, Tensor], present: dict[str, Tensor], voters: list[str], heads: list[int]
    ) -> list[Tensor]:
        """(N, K) a head: log of the geometric mean of the posteriors of the voters that see an item."""
        parts = []
        for block, here in in_blocks(features, present):
            votes = self.votes(block, here, voters)
            share = 1 / torch.stack([seen for _, seen, _ in votes]).float().sum(dim=0).clamp(min=1)
            parts.append([torch.stack([(seen * share)[:, None] * logs[h] for _, seen, logs in votes]).sum(dim=0) for h in heads])
        return [torch.cat(of) for of in zip(*parts)]

    def votes(
        self, features: dict[str, Tensor], present: dict[str, Tensor], voters: list[str]
    ) -> list[tuple[str, Tensor, list[Tensor]]]:
        """(voter, which items it sees (B,), its log-posteriors (B, K) a head) of every voter."""
        found = []
        for voter in voters:
            x, seen = seen_by(voter, features, present)
            found.append((voter, seen, [F.log_softmax(s.float(), dim=1) for s in self.heads[voter](x)]))
        return found

    def predict(self, block: dict[str, Tensor], present: dict[str, Tensor] | None = None) -> Prediction:
        some = next(iter(block.values()))
        has = {m: torch.zeros(len(some), dtype=torch.bool, device=some.device) for m in self.task.modalities}
        has |= {m: ~has[m] if present is None else present[m] for m in block}
        features = {m: block.get(m, some.new_zeros(len(some), self.dim(m))) for m in self.task.modalities}
        logs = [[seen[:, None] * log for log in of] for _, seen, of in self.votes(features, has, self.voters)]
        return Prediction([F.log_softmax(torch.stack(each).sum(dim=0), dim=1) for each in zip(*logs)])

    # ------------------------------------------------------------------------------------------------------ the end

    def final(self, data: Data, generator: torch.Generator) -> Final:
        features = {m: data.features(m) for m in self.task.modalities}
        every = list(range(len(self.head_sizes)))
        self.match(features, data.present)
        solved = self.solve(features, data.present, self.voters, every)
        labels = [a.labels for a in solved]
        head = most_agreed(labels)
        rows = plan(self.joint_scores(features, data.present, self.voters, [head])[0], solved[head]).half()
        mass = "KL-relaxed" if self.task.mass == "relaxed" else marginals.TITLES[self.mass_name()]
        return Final(labels, head, rows, {"mass": mass, "mass_error": solved[head].error, "converged": solved[head].converged})

    def match(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> None:
        """Ballots that were apart are matched by their labels: most items in common, one to one."""
        if len(self.ballots) == 1:
            return
        first, *others = (self.solve(features, present, ballot, list(range(len(self.head_sizes)))) for ballot in self.ballots)
        for found, ballot in zip(others, self.ballots[1:]):
            for h, (a, b) in enumerate(zip(first, found)):
                K = self.head_sizes[h]
                order = hungarian(contingency(a.labels.cpu().numpy(), b.labels.cpu().numpy(), K, K))[1]
                for voter in ballot:
                    self.reorder(voter, h, order)

    def current_labels(self) -> list[Tensor]:
        return [row.long() for row in self.labels_HN]

    def extra_state(self) -> dict:
        return {"turn": self.turn}

    def load_extra_state(self, state: dict) -> None:
        self.turn = state["turn"]
