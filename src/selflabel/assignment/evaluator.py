"""Evaluation of the dual at given potentials: from the scores themselves, or from a store that was filled from them.

An evaluation gives each label's mass and the mean over the items of logsumexp((s + v) / epsilon) (`reducer.DualTerms`). Under
torch.distributed every rank evaluates its own rows, and these K + 1 numbers are summed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.kernels import kernels_for, reference
from selflabel.assignment.passes import Pass, PassRequests
from selflabel.assignment.reducer import DualTerms, Reducer
from selflabel.assignment.scores import LinearScores, Source, matrix_of, sample_rows
from selflabel.assignment.stores import (
    ENTRY_BYTES,
    SAMPLE_ROWS,
    DenseStore,
    PackedStore,
    SparseStore,
    Store,
    Workspace,
    depths_below_peak,
    widest_leeway,
)

SPARSE_SHARE, SPARSE_SHARE_LINEAR = 1 / 64, 1 / 16  # largest share of entries for a sparse store; of a matrix, of LinearScores
LEFT_OUT = 0.05  # of the tolerance: the share of an item that a sparse store may leave out
HALF_PRECISION_TOL = 2e-3  # tolerances from here on allow 16-bit stores


class DualEvaluator:
    """Evaluates the dual over one source at one epsilon, in the cheapest way that is exact enough.

    Args:
        source: N x K scores.
        epsilon: temperature.
        tol: tolerance of the masses, which decides how coarse a store may be.
        reducer: sums over ranks.
        workspace: memory for stores.
        n_direct: evaluations of a matrix that read the scores themselves before a store is filled, which must be worth its
            price. A product costs more than filling a store, so `LinearScores` are stored at once. math.inf: no store at all.

    Attributes:
        n_passes: how often all scores were read or computed.
    """

    def __init__(self, source: Source, epsilon: float, tol: float, reducer: Reducer, workspace: Workspace, n_direct: float = 0):
        self.source, self.epsilon, self.tol, self.reducer, self.workspace = source, epsilon, tol, reducer, workspace
        self.kernels = kernels_for(source.device, source.shape[0] * source.shape[1])
        self.is_compiled = self.kernels is not reference
        self.n_direct = 0 if isinstance(matrix_of(source), LinearScores) and n_direct < math.inf else n_direct
        self.store: Store | None = None
        self.origin: Tensor | None = None  # potentials at which a store was last chosen
        self.n_passes = 0

    def evaluate(self, v: np.ndarray) -> PassRequests[DualTerms]:
        """Masses at potentials v (K,), from the store where there is one."""
        if self.n_passes < self.n_direct:
            return (yield from self.evaluate_exactly(v))
        potentials = torch.from_numpy(v)
        if not self.store_covers(potentials):
            last = potentials if self.origin is None else self.origin
            self.origin, self.store = potentials.clone(), None
            self.store = yield from self.fill_store(self.origin, last)
        if self.store is None or self.origin is None:
            return (yield from self.evaluate_exactly(v))
        sums, logs = self.store.evaluate((potentials - self.origin) / self.epsilon)
        return self.reducer.mean_terms(sums, logs + self.store.peak_sum, self.source.shape[0])

    def evaluate_exactly(self, v: np.ndarray, labels: Tensor | None = None) -> PassRequests[DualTerms]:
        """Masses at potentials v (K,), from the scores in float32.

        Args:
            v: (K,) float64.
            labels: (N,) int64 on the source's device, filled with argmax_k (s_ik + v_k); or None.
        """
        sums, logs, potentials = torch.zeros(len(v), dtype=torch.float64), [0.0], torch.from_numpy(v)

        def add_block(rows: slice, block: Tensor) -> None:
            part = self.kernels.score_sums(block, potentials, self.epsilon, None if labels is None else labels[rows])
            sums.add_(part[0])
            logs.append(part[1])

        yield self.request_pass(add_block)
        return self.reducer.mean_terms(sums, math.fsum(logs), self.source.shape[0])

    def raise_dead_labels(self, v: np.ndarray, dead: np.ndarray) -> PassRequests[np.ndarray]:
        """v (K,) with the dead labels ((K,) bool) raised until each equals the highest label of one item."""
        potentials = torch.from_numpy(v).to(self.source.device, torch.float32)
        highest = torch.full((len(v),), -math.inf, device=self.source.device)

        def update_highest(rows: slice, block: Tensor) -> None:
            x = block + potentials
            highest.copy_(torch.maximum(highest, (x - x.amax(dim=1, keepdim=True)).amax(dim=0)))

        yield self.request_pass(update_highest)
        gap = self.reducer.max(highest.cpu().double().numpy())
        return np.where(dead, v - gap, v)

    def store_covers(self, v: Tensor) -> bool:
        """Whether the last choice of a store, which may have been to use none, still holds at v."""
        return self.origin is not None and (self.store is None or self.store.covers((v - self.origin) / self.epsilon))

    def fill_store(self, v: Tensor, last: Tensor) -> PassRequests[Store | None]:
        """Choose a store for potentials near v and fill it; `last` are the potentials of the previous choice."""
        store = self.choose_store(v, last)
        if store is not None and not store.is_full:
            yield self.request_pass(store.add)
        return store

    def choose_store(self, v: Tensor, last: Tensor) -> Store | None:
        """An empty store; None for few scores, which are as quick to read as a store, or where no store fits."""
        N, K = self.source.shape
        linear = isinstance(matrix_of(self.source), LinearScores)
        if not self.is_compiled and not linear and self.source.device.type == "cpu":
            return None
        cutoff = math.log(K / (LEFT_OUT * self.tol))
        fits = self.tol >= HALF_PRECISION_TOL and self.workspace.limit > 2 * N * K
        if linear and fits:
            return PackedStore(self.source, v, self.epsilon, self.kernels, self.workspace, cutoff)
        max_share = min(SPARSE_SHARE_LINEAR if linear else SPARSE_SHARE, self.workspace.limit / max(1, N * K * ENTRY_BYTES))
        depths = depths_below_peak(sample_rows(self.source, SAMPLE_ROWS), v, self.epsilon)
        leeway = widest_leeway(depths, cutoff, (v - last) / self.epsilon, max_share)
        if leeway is not None:
            return SparseStore(v, self.epsilon, cutoff, leeway, self.kernels)
        return DenseStore(self.source, v, self.epsilon, self.kernels, self.workspace) if fits else None

    def request_pass(self, callback: Callable[[slice, Tensor], None]) -> Pass:
        self.n_passes += 1
        return Pass(self.source, callback, one_block=self.is_compiled)
