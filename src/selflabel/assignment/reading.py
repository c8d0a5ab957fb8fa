"""HOW A TURN READS THE SCORES: from the scores themselves, or from the few of them that can matter, kept aside.

A turn asks, at potentials v, for the mass every label gets when each item gives its unit away, and for the mean over the
items of logsumexp((s + v) / epsilon). Under torch.distributed every rank reads its own rows and these K + 1 numbers are
summed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.kernels import passes, reference
from selflabel.assignment.scores import LinearScores, Pass, Source, empty, some_rows

T = TypeVar("T")

SPARSE, SPARSE_LINEAR = 1 / 64, 1 / 16  # share of entries that can matter, below which they are kept aside; where scores are made
NEAR = 1 / 48  # their share of packed scores, among which choosing is cheap
LEEWAYS = (100.0, 50.0, 25.0, 10.0, 5.0, 2.5)  # how far, in epsilons, any label may move before entries are chosen anew
PATIENCE = 4  # turns without kept entries, where they were too many, before they are counted again
AGAIN = (3.0, 1.0)  # how much further a label may move than it has just moved
RANGE = 70.0  # how far apart potentials may move before scaled exponentials leave float32's range
DROPPED = 0.05  # of the tolerance: the share of a row that may be dropped
ENTRY_BYTES = 12  # of a kept entry while they are joined
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

        shared = self.shared(mine)
        dist.all_reduce(shared, group=self.group)
        return shared.cpu().numpy()

    def mean(self, sums: Tensor, logs: float, items: int) -> Turn:
        found = self.sum(sums.numpy(), logs, items)
        return Turn(found[:-2] / found[-1], float(found[-2] / found[-1]))

    def highest(self, numbers: np.ndarray) -> np.ndarray:
        """Of every number the highest that a rank has."""
        if self.group is None:
            return numbers
        import torch.distributed as dist

        shared = self.shared(numbers)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=self.group)
        return shared.cpu().numpy()

    def shared(self, numbers: np.ndarray) -> Tensor:
        import torch.distributed as dist

        return torch.from_numpy(numbers).to("cuda" if dist.get_backend(self.group) == "nccl" else "cpu")


class Store(Protocol):
    """The kernel exp((s + v - peak) / epsilon) at some potentials, held so that a turn costs less than from scores."""

    peaks: float  # the sum of the rows' peaks / epsilon
    filled: bool  # whether it holds all rows' scores from before

    def add(self, rows: slice, block: Tensor) -> None:
        """Take in these rows' scores."""
        ...

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        """Sums and logs when potentials have moved by x (K,) epsilons since."""
        ...

    def reaches(self, x: Tensor) -> bool:
        """Whether it still holds so far from where it was made."""
        ...


class Room:
    """Memory for a solve's stores, one at a time. It is taken up once: new pages cost more than what is written on them.

    packed: the scores that lie in it, and their source's; they serve at every epsilon.
    """

    def __init__(self, most: int, whole: int = 0):
        self.most, self.whole = most, whole
        self.bytes: Tensor | None = None
        self.packed: tuple[Source, Tensor, Tensor] | None = None

    def take(self, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
        size, self.packed = shape[0] * shape[1] * dtype.itemsize, None
        if self.bytes is None or len(self.bytes) < size:
            self.bytes = None  # let go before more is asked for
            self.bytes = empty((max(size, self.whole if self.whole <= self.most else 0),), device, torch.uint8)
        return self.bytes[:size].view(dtype).view(shape)


class Dense:
    """All entries in bfloat16: half the memory of the scores, and multiply-adds alone. Sums are float32."""

    def __init__(self, source: Source, v: Tensor, epsilon: float, work: Any, room: Room):
        self.work, self.at, self.epsilon, self.peaks = work, v, epsilon, 0.0
        self.kernel, self.filled = room.take(source.shape, source.device, torch.bfloat16), False

    def add(self, rows: slice, block: Tensor) -> None:
        self.peaks += self.work.dense_kernel(block, self.at, self.epsilon, self.kernel[rows])

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        return self.work.dense_turn(self.kernel, x)

    def reaches(self, x: Tensor) -> bool:
        return float(x.max() - x.min()) <= RANGE


class Packed:
    """The scores themselves in 16 bits, in even steps between each row's lowest and highest. It holds at any potentials.

    A step is a 65,535th of the row's range: half of one, over epsilon, is the largest error of an exponent, and errors of
    different items average out in a label's mass. The entries that can matter near where potentials are now are kept aside,
    and chosen anew among these scores as they move.
    """

    def __init__(self, source: Source, v: Tensor, epsilon: float, work: Any, room: Room, least: float):
        self.work, self.at, self.epsilon, self.peaks = work, v, epsilon, 0.0
        self.least, self.room = least, room.most - 2 * source.shape[0] * source.shape[1]
        self.near: Sparse | None = None  # its potentials in epsilons from `at`
        self.turns, self.choose_at = 0, 0 if source.device.type == "cpu" else math.inf  # a GPU reads all of them as fast
        held = room.packed
        self.filled = held is not None and held[0] is source
        if held is None or held[0] is not source:
            scores = room.take(source.shape, source.device, torch.int16)
            held = room.packed = source, scores, torch.empty(source.shape[0], device=source.device)
        self.scores, self.scales = held[1:]

    def add(self, rows: slice, block: Tensor) -> None:
        self.work.pack(block, self.scores[rows], self.scales[rows])

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        self.turns += 1
        if (self.turns >= self.choose_at) if self.near is None else not self.near.reaches(x - self.near.at):
            last, self.near = self.near, None
            self.near, self.choose_at = self.chosen(x, last), self.turns + PATIENCE
        if self.near is None:
            return self.work.packed_turn(self.scores, self.scales, self.at + self.epsilon * x, self.epsilon)
        sums, logs = self.near.turn(x - self.near.at)
        return sums, logs + self.near.peaks

    def chosen(self, x: Tensor, last: Sparse | None) -> Sparse | None:
        """The entries that can matter near x, as far around as few enough are kept; None where they are many however near.

        A label that has moved far since the last choice is given that much more leeway.
        """
        v, (N, K) = self.at + self.epsilon * x, self.scores.shape
        rows = torch.arange(0, N, max(1, N // SAMPLE), device=self.scores.device)
        below = depths(reference.unpacked(self.scores[rows], self.scales[rows]), v, self.epsilon)
        moved = torch.zeros(K, dtype=torch.float64) if last is None else x - last.at
        leeway = widest(below, self.least, moved, min(NEAR, self.room / max(1, N * K * ENTRY_BYTES)))
        if leeway is None:
            return None
        near = Sparse(x, self.epsilon, self.least, leeway, self.work)
        near.take(*self.work.sparse_kernel(self.scores, v, self.epsilon, self.least, leeway, self.scales))
        return near

    def reaches(self, x: Tensor) -> bool:
        return True


class Sparse:
    """The entries that can matter while no label moves further than its leeway, kept as logarithms, so that nothing leaves
    float32's range.

    An entry left out lies below its row's highest by `least` and the leeways of both labels, so it stays `least` below: with
    least = log(K / share), what was left out is less than that share of an item.
    """

    def __init__(self, v: Tensor, epsilon: float, least: float, leeway: Tensor, work: Any):
        self.work, self.at, self.epsilon, self.least, self.leeway, self.peaks = work, v, epsilon, least, leeway, 0.0
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self.filled = False
        self.starts, self.columns, self.logs = torch.zeros(1, dtype=torch.int64), torch.empty(0), torch.empty(0)

    def add(self, rows: slice, block: Tensor) -> None:
        self.take(*self.work.sparse_kernel(block, self.at, self.epsilon, self.least, self.leeway))

    def take(self, counts: Tensor, columns: Tensor, logs: Tensor, peaks: float) -> None:
        self.parts.append((counts, columns, logs))
        self.peaks += peaks

    def turn(self, x: Tensor) -> tuple[Tensor, float]:
        if self.parts:
            self.join()
        return self.work.sparse_turn(self.starts, self.columns, self.logs, x)

    def join(self) -> None:
        """All parts in one; each list is let go of as soon as it is joined."""
        counts, columns, logs = (list(x) for x in zip(*self.parts))
        self.parts = []
        self.starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(counts).cpu().cumsum(0)])
        self.columns = joined(columns)
        self.logs = joined(logs)

    def reaches(self, x: Tensor) -> bool:
        """Whether all have kept to their leeways, but for a move that they share."""
        return float((x - self.leeway).max()) <= float((x + self.leeway).min())


def joined(parts: list[Tensor]) -> Tensor:
    """All of them in one, and the list let go of."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    parts.clear()
    return whole


def depths(block: Tensor, v: Tensor, epsilon: float) -> Tensor:
    """(n, K) how far, in epsilons, entries lie below their row's highest."""
    x = block + v.to(block)
    return (x.amax(dim=1, keepdim=True) - x) / epsilon


def widest(below: Tensor, least: float, moved: Tensor, most: float) -> Tensor | None:
    """(K,) the widest leeway with which less than a share of `most` of the entries can matter; None where there is none.

    moved: (K,) how far labels have moved since the last choice; those that moved apart from most get that much more.
    """
    best, apart = below.argmin(dim=1), (moved - moved.median()).abs()
    for again in AGAIN:
        for base in LEEWAYS:
            leeway = base + again * apart
            free = leeway.to(below)
            if float((below - free < least + free[best][:, None]).float().mean()) < most:
                return leeway
    return None


Steps = Generator[Pass, None, T]  # what asks for passes on its way to a T


class Reading:
    """Turns over one source at one epsilon, by the cheapest way that is exact enough.

    The first `direct` turns read the scores of a matrix themselves: a store must be worth its making. Products cost more than
    that, and are held at once unless `direct` is infinite. `passes` counts how often all scores were read or made.
    """

    def __init__(self, source: Source, epsilon: float, tol: float, everyone: Everyone, room: Room, direct: float = 0):
        self.source, self.epsilon, self.tol, self.everyone, self.room = source, epsilon, tol, everyone, room
        self.work = passes(source.device, source.shape[0] * source.shape[1])
        self.compiled = self.work is not reference
        self.direct = 0 if isinstance(source, LinearScores) and direct < math.inf else direct
        self.store: Store | None = None
        self.at: Tensor | None = None
        self.passes = 0

    def turn(self, v: np.ndarray) -> Steps[Turn]:
        """Masses at v, from the store where there is one."""
        if self.passes < self.direct:
            return (yield from self.exactly(v))
        potentials = torch.from_numpy(v)
        if not self.still_holds(potentials):
            last = potentials if self.at is None else self.at
            self.at, self.store = potentials.clone(), None
            self.store = yield from self.made(self.at, last)
        if self.store is None or self.at is None:
            return (yield from self.exactly(v))
        sums, logs = self.store.turn((potentials - self.at) / self.epsilon)
        return self.everyone.mean(sums, logs + self.store.peaks, self.source.shape[0])

    def still_holds(self, v: Tensor) -> bool:
        return self.at is not None and (self.store is None or self.store.reaches((v - self.at) / self.epsilon))

    def exactly(self, v: np.ndarray, labels: Tensor | None = None) -> Steps[Turn]:
        """Masses at v from the float32 scores themselves, and each row's label where asked for."""
        sums, logs, potentials = torch.zeros(len(v), dtype=torch.float64), [0.0], torch.from_numpy(v)

        def turn(rows: slice, block: Tensor) -> None:
            part = self.work.score_turn(block, potentials, self.epsilon, None if labels is None else labels[rows])
            sums.add_(part[0])
            logs.append(part[1])

        yield self.one_pass(turn)
        return self.everyone.mean(sums, math.fsum(logs), self.source.shape[0])

    def made(self, v: Tensor, last: Tensor) -> Steps[Store | None]:
        """What to hold at these potentials, the last having been made at others."""
        store = self.chosen(v, last)
        if store is not None and not store.filled:
            yield self.one_pass(store.add)
        return store

    def chosen(self, v: Tensor, last: Tensor) -> Store | None:
        """The store to fill; none for few scores, which are as quick to read as they are."""
        N, K = self.source.shape
        linear = isinstance(self.source, LinearScores)
        if not self.compiled and not linear and self.source.device.type == "cpu":
            return None
        least = math.log(K / (DROPPED * self.tol))
        fits = self.tol >= HALF_PRECISION and self.room.most > 2 * N * K
        if linear and fits:
            return Packed(self.source, v, self.epsilon, self.work, self.room, least)
        most = min(SPARSE_LINEAR if linear else SPARSE, self.room.most / max(1, N * K * ENTRY_BYTES))
        below = depths(some_rows(self.source, SAMPLE), v, self.epsilon)
        leeway = widest(below, least, (v - last) / self.epsilon, most)
        if leeway is not None:
            return Sparse(v, self.epsilon, least, leeway, self.work)
        return Dense(self.source, v, self.epsilon, self.work, self.room) if fits else None

    def lifted(self, v: np.ndarray, dead: np.ndarray) -> Steps[np.ndarray]:
        """v with the dead labels raised until each is level with the highest label of one item."""
        potentials = torch.from_numpy(v).to(self.source.device, torch.float32)
        nearest = torch.full((len(v),), -math.inf, device=self.source.device)

        def look(rows: slice, block: Tensor) -> None:
            x = block + potentials
            nearest.copy_(torch.maximum(nearest, (x - x.amax(dim=1, keepdim=True)).amax(dim=0)))

        yield self.one_pass(look)
        gap = self.everyone.highest(nearest.cpu().double().numpy())
        return np.where(dead, v - gap, v)

    def one_pass(self, each: Callable[[slice, Tensor], None]) -> Pass:
        self.passes += 1
        return Pass(self.source, each, whole=self.compiled)
