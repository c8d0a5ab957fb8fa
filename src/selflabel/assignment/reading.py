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

SPARSE, SPARSE_LINEAR = 1 / 64, 1 / 16  # share of entries that can matter, below which they are kept aside; where scores are made
REACHES = (200.0, 100.0, 50.0)  # how far, in epsilons, a label may rise above the mean before entries are chosen anew
RANGE = 70.0  # how far apart potentials may move before scaled exponentials leave float32's range
DROPPED = 0.05  # of the tolerance: the share of a row that may be dropped
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
    """The kernel exp((s + v - peak) / epsilon) at some potentials, held so that a turn costs less than from scores."""

    peaks: float  # the sum of the rows' peaks / epsilon

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        """Sums and logs when potentials have moved by x (K,) epsilons since."""
        ...

    def reaches(self, x: Tensor) -> bool:
        """Whether it still holds so far from where it was made."""
        ...


class Dense:
    """All entries in bfloat16: half the memory of the scores, and multiply-adds alone. Sums are float32."""

    def __init__(self, source: Source, v: Tensor, epsilon: float, work: Any):
        self.work, self.peaks = work, 0.0
        self.kernel = empty(source.shape, source.device).view(torch.bfloat16)
        for rows, block in blocks(source, whole=work is not reference):
            self.peaks += work.dense_kernel(block, v, epsilon, self.kernel[rows])

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        return self.work.dense_turn(self.kernel, x)

    def reaches(self, x: Tensor) -> bool:
        return float(x.max() - x.min()) <= RANGE


def empty(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Room for two-byte numbers; on the host from numpy, which asks for large pages and so takes it up quicker."""
    if device.type == "cpu":
        return torch.from_numpy(np.empty(shape, np.int16))
    return torch.empty(shape, dtype=torch.int16, device=device)


class Packed:
    """The scores themselves in 16 bits, in even steps between each row's lowest and highest. It holds at any potentials.

    A step is a 65,535th of the row's range: half of one, over epsilon, is the largest error of an exponent, and errors of
    different items average out in a label's mass.
    """

    def __init__(self, source: Source, v: Tensor, epsilon: float, work: Any):
        self.work, self.at, self.epsilon, self.peaks = work, v, epsilon, 0.0
        self.scores, self.scales = empty(source.shape, source.device), torch.empty(source.shape[0], device=source.device)
        for rows, block in blocks(source):
            work.pack(block, self.scores[rows], self.scales[rows])

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        return self.work.packed_turn(self.scores, self.scales, self.at + self.epsilon * x, self.epsilon)

    def reaches(self, x: Tensor) -> bool:
        return True


class Sparse:
    """The entries above exp(-depth) of their row's highest, kept as logarithms, so that nothing leaves float32's range.

    Where no label has risen over an item's best by more than `reach` epsilons since, what was dropped of the item's row is below
    K exp(reach - depth) of it. The reading watches the rise over the mean label, which is cheap; the solve's last pass over
    all scores is what certifies the error.
    """

    def __init__(self, source: Source, v: Tensor, epsilon: float, depth: float, reach: float, work: Any):
        self.work, self.reach, self.peaks = work, reach, 0.0
        counts, columns, logs = [], [], []
        for _, block in blocks(source, whole=work is not reference):
            found = work.sparse_kernel(block, v, epsilon, depth)
            counts.append(found[0])
            columns.append(found[1])
            logs.append(found[2])
            self.peaks += found[3]
        self.starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(counts).cpu().cumsum(0)])
        self.columns, self.logs = torch.cat(columns), torch.cat(logs)

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        return self.work.sparse_turn(self.starts, self.columns, self.logs, x)

    def reaches(self, x: Tensor) -> bool:
        return float(x.max() - x.mean()) <= self.reach


class Reading:
    """Turns over one source at one epsilon, by the cheapest way that is exact enough.

    `passes` counts how often all scores were read or made, `turns` how often masses were asked for.
    """

    def __init__(self, source: Source, epsilon: float, tol: float, everyone: Everyone, memory: int):
        self.source, self.epsilon, self.tol, self.everyone, self.memory = source, epsilon, tol, everyone, memory
        N, K = source.shape
        self.work = passes(source.device, N * K)
        self.store: Store | None = None
        self.at = torch.zeros(K, dtype=torch.float64)
        self.fresh = True
        self.turns = self.passes = 0

    def turn(self, v: np.ndarray) -> Turn:
        """Masses at v, from the store where there is one."""
        self.turns += 1
        potentials = torch.from_numpy(v)
        x = (potentials - self.at) / self.epsilon
        if self.fresh or (self.store is not None and not self.store.reaches(x)):
            self.store, self.at, self.fresh = self.made(potentials), potentials.clone(), False
            x = torch.zeros_like(x)
        if self.store is None:
            return self.exactly(v)
        sums, logs = self.store.turn(x)
        return self.everyone.mean(sums, logs + self.store.peaks, self.source.shape[0])

    def exactly(self, v: np.ndarray, labels: Tensor | None = None) -> Turn:
        """Masses at v from the float32 scores themselves, and each row's label where asked for."""
        self.passes += 1
        N, K = self.source.shape
        sums, logs, potentials = torch.zeros(K, dtype=torch.float64), 0.0, torch.from_numpy(v)
        for rows, block in blocks(self.source, whole=self.work is not reference):
            part = self.work.score_turn(block, potentials, self.epsilon, None if labels is None else labels[rows])
            sums, logs = sums + part[0], logs + part[1]
        return self.everyone.mean(sums, logs, N)

    def made(self, v: Tensor) -> Store | None:
        """What to hold at these potentials: nothing for few scores, which are as quick to read as they are."""
        N, K = self.source.shape
        linear = isinstance(self.source, LinearScores)
        if self.work is reference and not linear and self.source.device.type == "cpu":
            return None
        least, below = math.log(K / (DROPPED * self.tol)), self.sample_below(v)
        shares = {reach: float((below < least + reach).float().mean()) for reach in REACHES}
        fits = self.tol >= HALF_PRECISION and self.memory > 2 * N * K
        most = SPARSE_LINEAR if linear and not fits else SPARSE
        for reach in REACHES[:1] if linear and fits else REACHES:
            if shares[reach] < most and shares[reach] * N * K * 8 < self.memory:
                self.passes += 1
                return Sparse(self.source, v, self.epsilon, least + reach, reach, self.work)
        if not fits:
            return None
        self.passes += 1
        return (Packed if linear else Dense)(self.source, v, self.epsilon, self.work)

    def sample_below(self, v: Tensor) -> Tensor:
        """How far, in epsilons, entries lie below their row's highest, in a sample of rows."""
        n = self.source.shape[0]
        block = rows_of(self.source, torch.arange(0, n, max(1, n // SAMPLE)))
        x = block + v.to(block)
        return (x.amax(dim=1, keepdim=True) - x) / self.epsilon

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
