"""Stores: the scores of all items in a form that is cheaper to evaluate than the scores themselves.

A store is filled by one pass at potentials v0, its origin, and then evaluates masses at other potentials, given as
x = (v - v0) / epsilon. It reports whether x is within the range that it is exact enough for.

    DenseStore    all entries of the kernel exp((s + v0 - peak) / epsilon) in bfloat16
    PackedStore   all scores in 16 bits, valid at any potentials and any epsilon
    SparseStore   the entries that can matter near v0, as logarithms

`peak` is the highest s + v0 of an item's row. `cutoff` is how far below the peak, in epsilons, an entry no longer matters.
`leeway` is how far, in epsilons, each label's potential may move before a sparse store has to be selected again.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from selflabel.assignment.kernels import reference
from selflabel.assignment.scores import Source, allocate

NEARBY_SHARE = 1 / 48  # of packed scores: a larger share of entries is not worth selecting
LEEWAYS = (100.0, 50.0, 25.0, 10.0, 5.0, 2.5)  # tried from wide to narrow, in epsilons
MOVE_FACTORS = (3.0, 1.0)  # leeway for a label that has moved, in multiples of its last move
RETRY_AFTER = 4  # evaluations of all packed scores, after too many entries could matter, before they are counted again
EXP_RANGE = 70.0  # epsilons that potentials may move apart before scaled exponentials leave float32's range
ENTRY_BYTES = 12  # of a selected entry while parts are concatenated
SAMPLE_ROWS = 512  # rows that shares of entries are estimated from


class Workspace:
    """The memory of one solve's stores. It is allocated once and reused: touching new pages costs more than filling them.

    Args:
        limit: bytes that stores may use.
        expected: bytes to allocate at least, where the limit allows; the size of a store of all items.

    Attributes:
        packed: (source, scores, scales) of the packed scores that the memory holds; they serve at every epsilon.
    """

    def __init__(self, limit: int, expected: int = 0):
        self.limit, self.expected = limit, expected
        self.buffer: Tensor | None = None
        self.packed: tuple[Source, Tensor, Tensor] | None = None

    def allocate(self, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
        """(N, K) uninitialised; overwrites what an earlier call returned."""
        size, self.packed = shape[0] * shape[1] * dtype.itemsize, None
        if self.buffer is None or len(self.buffer) < size:
            self.buffer = None  # release it before more is requested
            self.buffer = allocate((max(size, self.expected if self.expected <= self.limit else 0),), device, torch.uint8)
        return self.buffer[:size].view(dtype).view(shape)


class Store(Protocol):
    """What all stores can do."""

    peak_sum: float  # sum over the items of peak / epsilon
    is_full: bool  # whether it already holds every row, from an earlier stage

    def add(self, rows: slice, block: Tensor) -> None:
        """Store these rows' (n, K) scores."""
        ...

    def evaluate(self, x: Tensor) -> tuple[Tensor, float]:
        """Sum of soft labels (K,) and sum of log-sums, at x (K,) epsilons from the origin."""
        ...

    def covers(self, x: Tensor) -> bool:
        """Whether the store is exact enough at x (K,) epsilons from the origin."""
        ...


class DenseStore:
    """All entries of the kernel in bfloat16: half the memory of the scores, evaluated by multiply-adds. Sums are float32."""

    def __init__(self, source: Source, v: Tensor, epsilon: float, kernels: Any, workspace: Workspace):
        self.kernels, self.origin, self.epsilon, self.peak_sum = kernels, v, epsilon, 0.0
        self.entries, self.is_full = workspace.allocate(source.shape, source.device, torch.bfloat16), False

    def add(self, rows: slice, block: Tensor) -> None:
        self.peak_sum += self.kernels.dense_kernel(block, self.origin, self.epsilon, self.entries[rows])

    def evaluate(self, x: Tensor) -> tuple[Tensor, float]:
        return self.kernels.dense_sums(self.entries, x)

    def covers(self, x: Tensor) -> bool:
        return float(x.max() - x.min()) <= EXP_RANGE


class PackedStore:
    """All scores in 16 bits, in even steps between each row's lowest and highest score. It is valid at any potentials.

    A step is a 65,535th of the row's range. Half a step over epsilon is the largest error of an exponent, and errors of different
    items average out in a label's mass. On a CPU the entries that can matter near the present potentials are selected into a
    `SparseStore`, again whenever potentials leave its range.
    """

    def __init__(self, source: Source, v: Tensor, epsilon: float, kernels: Any, workspace: Workspace, cutoff: float):
        self.kernels, self.origin, self.epsilon, self.peak_sum = kernels, v, epsilon, 0.0
        self.cutoff, self.memory = cutoff, workspace.limit - 2 * source.shape[0] * source.shape[1]
        self.nearby: SparseStore | None = None  # its origin is in epsilons from `self.origin`
        self.n_evaluations = 0
        self.select_at = 0 if source.device.type == "cpu" else math.inf  # a GPU evaluates all entries as fast as few
        held = workspace.packed
        self.is_full = held is not None and held[0] is source
        if held is None or held[0] is not source:
            scores = workspace.allocate(source.shape, source.device, torch.int16)
            held = workspace.packed = source, scores, torch.empty(source.shape[0], device=source.device)
        self.scores, self.scales = held[1:]

    def add(self, rows: slice, block: Tensor) -> None:
        self.kernels.pack(block, self.scores[rows], self.scales[rows])

    def evaluate(self, x: Tensor) -> tuple[Tensor, float]:
        self.n_evaluations += 1
        if self.must_select(x):
            last, self.nearby = self.nearby, None
            self.nearby, self.select_at = self.select_nearby(x, last), self.n_evaluations + RETRY_AFTER
        if self.nearby is None:
            return self.kernels.packed_sums(self.scores, self.scales, self.origin + self.epsilon * x, self.epsilon)
        sums, logs = self.nearby.evaluate(x - self.nearby.origin)
        return sums, logs + self.nearby.peak_sum

    def must_select(self, x: Tensor) -> bool:
        if self.nearby is None:
            return self.n_evaluations >= self.select_at
        return not self.nearby.covers(x - self.nearby.origin)

    def select_nearby(self, x: Tensor, last: SparseStore | None) -> SparseStore | None:
        """The entries that can matter near x, with the widest leeway at which they are few; None where they are always many.

        A label that has moved far since the last selection gets that much more leeway.
        """
        v, (N, K) = self.origin + self.epsilon * x, self.scores.shape
        rows = torch.arange(0, N, max(1, N // SAMPLE_ROWS), device=self.scores.device)
        depths = depths_below_peak(reference.unpack(self.scores[rows], self.scales[rows]), v, self.epsilon)
        moves = torch.zeros(K, dtype=torch.float64) if last is None else x - last.origin
        leeway = widest_leeway(depths, self.cutoff, moves, min(NEARBY_SHARE, self.memory / max(1, N * K * ENTRY_BYTES)))
        if leeway is None:
            return None
        nearby = SparseStore(x, self.epsilon, self.cutoff, leeway, self.kernels)
        nearby.append(*self.kernels.sparse_kernel(self.scores, v, self.epsilon, self.cutoff, leeway, self.scales))
        return nearby

    def covers(self, x: Tensor) -> bool:
        return True


class SparseStore:
    """The entries that can matter while no label moves further than its leeway, as logarithms, which never leave float32's range.

    An entry left out is below its row's peak by more than the cutoff and the leeways of its own and of the peak's label, so it
    stays below by the cutoff. With cutoff = log(K / share), all that was left out of a row is less than that share of an item.

    Args:
        v: (K,) float64, the origin.
        epsilon: temperature.
        cutoff: in epsilons.
        leeway: (K,) float64, in epsilons.
        kernels: module of `assignment.kernels`.
    """

    def __init__(self, v: Tensor, epsilon: float, cutoff: float, leeway: Tensor, kernels: Any):
        self.kernels, self.origin, self.epsilon, self.peak_sum = kernels, v, epsilon, 0.0
        self.cutoff, self.leeway, self.is_full = cutoff, leeway, False
        self.parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self.starts, self.columns, self.logs = torch.zeros(1, dtype=torch.int64), torch.empty(0), torch.empty(0)

    def add(self, rows: slice, block: Tensor) -> None:
        self.append(*self.kernels.sparse_kernel(block, self.origin, self.epsilon, self.cutoff, self.leeway))

    def append(self, counts: Tensor, columns: Tensor, logs: Tensor, peak_sum: float) -> None:
        """Add the selected entries of further rows: how many each row has (n,), their columns, their logarithms."""
        self.parts.append((counts, columns, logs))
        self.peak_sum += peak_sum

    def evaluate(self, x: Tensor) -> tuple[Tensor, float]:
        if self.parts:
            self.join_parts()
        return self.kernels.sparse_sums(self.starts, self.columns, self.logs, x)

    def join_parts(self) -> None:
        """Concatenate all parts; each list is released as soon as it is concatenated."""
        counts, columns, logs = (list(x) for x in zip(*self.parts))
        self.parts = []
        self.starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(counts).cpu().cumsum(0)])
        self.columns = concatenate_and_clear(columns)
        self.logs = concatenate_and_clear(logs)

    def covers(self, x: Tensor) -> bool:
        """Whether every label is within its leeway, apart from a move that all labels share."""
        return float((x - self.leeway).max()) <= float((x + self.leeway).min())


def concatenate_and_clear(parts: list[Tensor]) -> Tensor:
    """All parts in one tensor; the list is emptied so that their memory is released."""
    whole = parts[0] if len(parts) == 1 else torch.cat(parts)
    parts.clear()
    return whole


def depths_below_peak(block: Tensor, v: Tensor, epsilon: float) -> Tensor:
    """(n, K) how far, in epsilons, each s + v of a block is below the highest of its row."""
    x = block + v.to(block)
    return (x.amax(dim=1, keepdim=True) - x) / epsilon


def widest_leeway(depths: Tensor, cutoff: float, moves: Tensor, max_share: float) -> Tensor | None:
    """The widest leeway with which less than a given share of the entries can matter.

    Args:
        depths: (n, K) from `depths_below_peak`, of a sample of rows.
        cutoff: in epsilons.
        moves: (K,) how far potentials have moved since the last selection, in epsilons. A label whose move differs from the
            median move gets a multiple of the difference as additional leeway.
        max_share: of the entries, 0 to 1.

    Returns:
        (K,) float64 leeways in epsilons, or None where even the narrowest lets too many entries in.
    """
    best, own_moves = depths.argmin(dim=1), (moves - moves.median()).abs()
    for factor in MOVE_FACTORS:
        for base in LEEWAYS:
            leeway = base + factor * own_moves
            free = leeway.to(depths)
            if float((depths - free < cutoff + free[best][:, None]).float().mean()) < max_share:
                return leeway
    return None
