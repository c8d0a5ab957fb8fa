"""HOW A TURN READS THE SCORES: from the scores themselves, or from the few of them that can matter, kept aside.

A turn asks, at potentials v, for the mass every label gets when each item gives its unit away, and for the mean over the
items of logsumexp((s + v) / epsilon). Under torch.distributed every rank reads its own rows and these K + 1 numbers are
summed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.kernels import passes, reference
from selflabel.assignment.scores import LinearScores, Source, blocks, rows_of

SPARSE = 1 / 16  # share of entries that can matter, below which they are kept aside
REACH = 8.0  # how far, in epsilons, potentials may move before entries are chosen anew
SAMPLE = 512  # rows by which shares are estimated
HALF_PRECISION = 2e-3  # tolerance from which on a kernel in bfloat16 is fine enough


@dataclass(frozen=True)
class Turn:
    """mass: (K,) float64 shares. lse: mean over the items of logsumexp((s + v) / epsilon)."""

    mass: np.ndarray
    lse: float


@dataclass(frozen=True)
class Everyone:
    """All ranks of a torch.distributed group; alone where there is none."""

    group: Any = None

    def sum(self, *numbers: Any) -> np.ndarray:
        """All numbers in one float64 vector, summed over the ranks."""
        mine = np.concatenate([np.atleast_1d(np.asarray(x, np.float64)) for x in numbers])
        if self.group is None:
            return mine
        import torch.distributed as dist

        on_gpu = dist.get_backend(self.group) == "nccl"
        shared = torch.from_numpy(mine).to("cuda" if on_gpu else "cpu")
        dist.all_reduce(shared, group=self.group)
        return shared.cpu().numpy()

    def mean(self, sums: Tensor, logs: float, items: int) -> Turn:
        found = self.sum(sums.numpy(), logs, items)
        return Turn(found[:-2] / found[-1], float(found[-2] / found[-1]))

    def worst(self, number: float) -> float:
        """The highest of all ranks' numbers."""
        if self.group is None:
            return number
        import torch.distributed as dist

        gathered: list = [None] * dist.get_world_size(self.group)
        dist.all_gather_object(gathered, number, group=self.group)
        return max(gathered)


class Store(Protocol):
    """The kernel exp((s + v - peak) / epsilon) at some potentials, held so that a turn need not exponentiate."""

    reach: float

    def turn(self, b: Tensor) -> tuple[Tensor, float]:
        """Sums and logs after columns are scaled by b."""
        ...


class Dense:
    """All entries in bfloat16: half the memory of the scores, and multiply-adds alone. Sums are float32."""

    reach = 40.0  # so that no scaled entry leaves float32's range

    def __init__(self, source: Source, v: Tensor, epsilon: float, work: Any):
        self.work, self.peaks = work, 0.0
        self.kernel = torch.empty(source.shape, dtype=torch.bfloat16, device=source.device)
        for rows, block in blocks(source, whole=work is not reference):
            self.peaks += work.dense_kernel(block, v, epsilon, self.kernel[rows])

    def turn(self, b: Tensor) -> tuple[Tensor, float]:
        return self.work.dense_turn(self.kernel, b)


class Sparse:
    """The entries above exp(-depth) of their row's highest.

    While potentials differ from those at the choice by at most `reach` epsilons, lowest to highest, what was dropped of a row is below
    K exp(reach - depth) of it.
    """

    reach = REACH

    def __init__(self, source: Source, v: Tensor, epsilon: float, depth: float, work: Any):
        self.work, self.peaks = work, 0.0
        counts, columns, values = [], [], []
        for _, block in blocks(source, whole=work is not reference):
            found = work.sparse_kernel(block, v, epsilon, depth)
            counts.append(found[0]), columns.append(found[1]), values.append(found[2])
            self.peaks += found[3]
        self.starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(counts).cpu().cumsum(0)])
        self.columns, self.values = torch.cat(columns), torch.cat(values)

    def turn(self, b: Tensor) -> tuple[Tensor, float]:
        return self.work.sparse_turn(self.starts, self.columns, self.values, b)


class Reading:
    """Turns over one source at one epsilon, by the cheapest way that is exact enough.

    `passes` counts how often all scores were read or made, `turns` how often masses were asked for.
    """

    def __init__(self, source: Source, epsilon: float, tol: float, everyone: Everyone, memory: int):
        self.source, self.epsilon, self.tol, self.everyone, self.memory = source, epsilon, tol, everyone, memory
        N, K = source.shape
        self.work = passes(source.device, N * K)
        self.store: Dense | Sparse | None = None
        self.at = torch.zeros(K, dtype=torch.float64)
        self.fresh = True
        self.turns = self.passes = 0

    def turn(self, v: np.ndarray) -> Turn:
        """Masses at v, from the store where there is one."""
        self.turns += 1
        potentials = torch.from_numpy(v)
        x = (potentials - self.at) / self.epsilon
        if self.fresh or (self.store is not None and float(x.max() - x.min()) > self.store.reach):
            self.store, self.at, self.fresh = self.made(potentials), potentials.clone(), False
            x = torch.zeros_like(x)
        if self.store is None:
            return self.exactly(v)
        top = float(x.max())
        sums, logs = self.store.turn(torch.exp(x - top))
        n = len(self.source.features) if isinstance(self.source, LinearScores) else len(self.source)
        return self.everyone.mean(sums, logs + self.store.peaks + n * top, n)

    def exactly(self, v: np.ndarray, labels: Tensor | None = None) -> Turn:
        """Masses at v from the float32 scores themselves, and each row's label where asked for."""
        self.passes += 1
        N, K = self.source.shape
        sums, logs, potentials = torch.zeros(K, dtype=torch.float64), 0.0, torch.from_numpy(v)
        for rows, block in blocks(self.source, whole=self.work is not reference):
            part = self.work.score_turn(block, potentials, self.epsilon, None if labels is None else labels[rows])
            sums, logs = sums + part[0], logs + part[1]
        return self.everyone.mean(sums, logs, N)

    def made(self, v: Tensor) -> Dense | Sparse | None:
        """What to hold at these potentials: nothing for few scores, which are as quick to read as they are."""
        N, K = self.source.shape
        if self.work is reference and not isinstance(self.source, LinearScores) and self.source.device.type == "cpu":
            return None
        depth = math.log(K / (0.05 * self.tol)) + REACH
        share = self.share_within(v, depth)
        if share < SPARSE and share * N * K * 8 < self.memory:
            self.passes += 1
            return Sparse(self.source, v, self.epsilon, depth, self.work)
        if isinstance(self.source, LinearScores) and self.tol >= HALF_PRECISION and 2 * N * K < self.memory:
            self.passes += 1
            return Dense(self.source, v, self.epsilon, self.work)
        return None

    def share_within(self, v: Tensor, depth: float) -> float:
        """The share of entries above exp(-depth) of their row's highest, in a sample of rows."""
        n = self.source.shape[0]
        block = rows_of(self.source, torch.arange(0, n, max(1, n // SAMPLE)))
        x = block + v.to(block)
        return float(((x - x.amax(dim=1, keepdim=True)) > -depth * self.epsilon).float().mean())

    def lifted(self, v: np.ndarray, dead: np.ndarray) -> np.ndarray:
        """v with the dead labels raised until each is level with the highest label of one item."""
        potentials = torch.from_numpy(v).to(self.source.device, torch.float32)
        nearest = torch.full((self.source.shape[1],), -math.inf, device=self.source.device)
        for _, block in blocks(self.source):
            x = block + potentials
            nearest = torch.maximum(nearest, (x - x.amax(dim=1, keepdim=True)).amax(dim=0))
        self.passes += 1
        gap = np.array([self.everyone.worst(g) for g in nearest.cpu().double().numpy()[dead]])
        lifted = v.copy()
        lifted[dead] -= gap
        return lifted
