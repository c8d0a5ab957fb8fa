"""One solve: from scores to potentials that give every label its mass, and to labels.

The way to the potentials depends on the options: `free_masses` has none to find, `alternate` is the published recursion, and
`search` maximises the dual (`dual`) with scores read in the cheapest way that is exact enough (`evaluator`). Whatever was
subsampled, left out or rounded on the way, `certify` measures the error on all scores in float32, and the search goes on until
the tolerance is met there.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.dual import MIN_MASS, History, Problem, maximise, point_at
from selflabel.assignment.evaluator import DualEvaluator
from selflabel.assignment.passes import PassRequests
from selflabel.assignment.reducer import DualTerms, Reducer
from selflabel.assignment.rounding import exact_labels
from selflabel.assignment.scores import SharedFeatures, Source, sample_rows, select_rows
from selflabel.assignment.stores import Workspace

EPSILON_FACTOR = 4.0  # from one epsilon of the scaling to the next
ROUGH_TOL = 0.5  # mass error at which a stage of the scaling ends
MIN_ITEMS, MIN_ITEMS_PER_LABEL = 5_000, 25  # of the first subsample
GROWTH = 4  # of a subsample to the next
SHARPNESS_ROWS = 2_000  # rows that the first epsilon is estimated from
STORE_TOL = 0.8  # of the tolerance is required on a store, so that all scores meet the tolerance itself
ROUGH_DIRECT = 1  # evaluations in a stage of the scaling before a store is filled
NO_STORE = math.inf
STORE_ROUNDS = 3  # searches on a store before the scores themselves are evaluated


@dataclass(frozen=True)
class Assignment:
    """A solved assignment.

    Attributes:
        labels: (N,) int64, `argmax_k (s_ik + v_k)`, or the exact rounding of it; -1 where that is the dummy.
        potentials: (K,) float64, in the units of the scores; with a dummy (K + 1,), its own last.
        error: largest relative error of a label's mass, max_k |mass_k / target_k - 1|, at these potentials, on all scores; of a
            relaxed label that should have less than a thousandth of its share, relative to that thousandth.
        n_iter: iterations: how often the potentials were moved.
        n_passes: how often all N x K scores were read or computed, rounded up; a subsample counts as the fraction that it is, and
            iterations on a store count nothing.
        seconds: wall time.
        converged: whether the error came below the tolerance.
        epsilon: the temperature solved at.
    """

    labels: Tensor
    potentials: Tensor
    error: float
    n_iter: int
    n_passes: int
    seconds: float
    converged: bool
    epsilon: float


Solution = tuple[np.ndarray, Tensor, float]  # potentials (K,), labels (N,), error


class Solve:
    """One solve, and what it has cost so far.

    Args:
        source: this rank's N x K scores.
        problem: masses, temperature and relaxation.
        tol: largest relative error of a label's mass; None runs exactly max_iter iterations of plain alternation.
        max_iter: most iterations.
        reducer: sums over ranks.
        features: subsamples shared with other solves.
        memory: bytes that stores may use.
    """

    def __init__(
        self,
        source: Source,
        problem: Problem,
        tol: float | None,
        max_iter: int,
        reducer: Reducer,
        features: SharedFeatures,
        memory: int,
    ):
        self.source, self.problem, self.tol, self.max_iter = source, problem, tol, max_iter
        self.reducer, self.features = reducer, features
        self.workspace = Workspace(memory, expected=2 * source.shape[0] * source.shape[1])
        self.histories: dict[float, History] = {}  # by epsilon
        self.n_iter = self.rows_read = 0

    def run(self, relax: float | None, start: Tensor | None, rounding: str) -> PassRequests[Assignment]:
        """Solve.

        Args:
            relax: 1 leaves the masses free, but for a dummy's; anything below is in `problem` already.
            start: (K,) potentials to start from, or None.
            rounding: "argmax" or "exact".
        """
        started = time.perf_counter()
        v = np.zeros(self.source.shape[1]) if start is None else start.detach().double().cpu().numpy().copy()
        if relax == 1.0 and not self.problem.has_dummy:
            solution = self.free_masses(v)
        elif self.tol is None:
            solution = self.alternate(v)
        else:
            solution = self.search(v, self.tol, cold=start is None)
        v, labels, error = yield from solution
        if rounding == "exact":
            labels = exact_labels(lambda rows: select_rows(self.source, rows), v, np.exp(self.problem.log_r), labels)
        if self.problem.has_dummy:
            labels = labels.masked_fill(labels == len(v) - 1, -1)
        seconds, converged = time.perf_counter() - started, self.tol is not None and error <= self.tol
        potentials = torch.from_numpy(v)
        n_passes = math.ceil(self.rows_read / max(1, self.source.shape[0]))
        return Assignment(labels, potentials, error, self.n_iter, n_passes, seconds, converged, self.problem.epsilon)

    def evaluator(self, source: Source, epsilon: float, tol: float, n_direct: float) -> DualEvaluator:
        return DualEvaluator(source, epsilon, tol, self.reducer, self.workspace, n_direct)

    # ----------------------------------------------------------------------------------------- ways to the potentials

    def free_masses(self, v: np.ndarray) -> PassRequests[Solution]:
        """Masses left free: potentials of zero, the best label of each item, and no target to miss."""
        v = np.zeros_like(v)
        labels, _ = yield from self.label(v)
        return v, labels, 0.0

    def alternate(self, v: np.ndarray) -> PassRequests[Solution]:
        """Exactly max_iter iterations of plain alternation (Cuturi, 2013, algorithm 1)."""
        evaluator = self.evaluator(self.source, self.problem.epsilon, 1.0, n_direct=NO_STORE)
        for _ in range(self.max_iter):
            # --- items: every item gives its mass away, which gives the labels' masses
            point = point_at(self.problem, (yield from evaluator.evaluate_exactly(v)), v)
            # --- labels: potentials that would give every label its target mass
            v = v + self.problem.epsilon * self.problem.plain_step(point)
        self.n_iter, self.rows_read = self.max_iter, evaluator.n_passes * self.source.shape[0]
        labels, error = yield from self.certify(v)
        return v, labels, error

    def search(self, v: np.ndarray, tol: float, cold: bool) -> PassRequests[Solution]:
        """Maximise the dual to the tolerance: first on subsamples, then on a store of all items, until all scores agree."""
        epsilon = self.problem.epsilon
        # --- epsilon scaling and growing subsamples, unless potentials are known
        if cold:
            v = yield from self.search_subsamples(v, tol)
        # --- all items, from a store, certified on the scores
        for _ in range(STORE_ROUNDS):
            v = yield from self.stage(self.source, epsilon, v, tol * STORE_TOL)
            labels, error = yield from self.certify(v)
            if error <= tol or self.n_iter >= self.max_iter:
                return v, labels, error
        # --- all items, from the scores themselves
        v = yield from self.stage(self.source, epsilon, v, tol, n_direct=NO_STORE)
        labels, error = yield from self.certify(v)
        return v, labels, error

    def search_subsamples(self, v: np.ndarray, tol: float) -> PassRequests[np.ndarray]:
        """Potentials from subsamples: epsilon falls on the smallest, which then grows until the next would be all items."""
        epsilon, K = self.problem.epsilon, self.source.shape[1]
        N = self.reducer.sum(self.source.shape[0])[0]
        step = max(1, int(N // max(MIN_ITEMS, MIN_ITEMS_PER_LABEL * K)))
        subsample = self.features.subsample(self.source, step)
        for higher in (yield from self.falling_epsilons(subsample, v)):
            v = yield from self.stage(subsample, higher, v, ROUGH_TOL, n_direct=ROUGH_DIRECT)
        while step > 1:
            # a label has N / step / K items of the subsample: its mass is known to about that number's relative deviation
            v = yield from self.stage(subsample, epsilon, v, max(tol, math.sqrt(K * step / N)))
            step //= GROWTH
            subsample = self.features.subsample(self.source, max(1, step))
        return v

    def falling_epsilons(self, subsample: Source, v: np.ndarray) -> PassRequests[list[float]]:
        """The epsilons above the final one, highest first; none where v is not far off at the final one."""
        problem = self.problem
        evaluator = self.evaluator(subsample, problem.epsilon, ROUGH_TOL, n_direct=ROUGH_DIRECT)
        terms = yield from evaluator.evaluate(v)
        self.rows_read += evaluator.n_passes * subsample.shape[0]
        if point_at(problem, terms, v).error <= 1 or self.max_iter == 0:
            return []
        sample = sample_rows(subsample, SHARPNESS_ROWS)
        spread, rows = self.reducer.sum(float((sample.amax(dim=1) - sample.mean(dim=1)).sum()), len(sample))
        stages = math.ceil(math.log(max(spread / rows / 3, problem.epsilon) / problem.epsilon, EPSILON_FACTOR) - 1e-9)
        return [problem.epsilon * EPSILON_FACTOR**j for j in range(stages, 0, -1)]

    def stage(self, source: Source, epsilon: float, v: np.ndarray, tol: float, n_direct: float = 0) -> PassRequests[np.ndarray]:
        """Maximise the dual over one set of items at one epsilon, from v on."""
        evaluator, problem = self.evaluator(source, epsilon, tol, n_direct), replace(self.problem, epsilon=epsilon)
        point = point_at(problem, (yield from evaluator.evaluate(v)), v)
        dead = (point.mass <= MIN_MASS * 1e10) & ~problem.is_free
        if dead.any():
            v = yield from evaluator.raise_dead_labels(v, dead)
            point = point_at(problem, (yield from evaluator.evaluate(v)), v)
        history = self.histories.setdefault(epsilon, History())
        last, n_iter = yield from maximise(evaluator.evaluate, problem, point, tol, self.max_iter - self.n_iter, history)
        self.n_iter += n_iter
        self.rows_read += evaluator.n_passes * source.shape[0]
        return last.v

    # -------------------------------------------------------------------------------------------------- certification

    def certify(self, v: np.ndarray) -> PassRequests[tuple[Tensor, float]]:
        """Labels, and the error of the masses on all scores in float32."""
        labels, terms = yield from self.label(v)
        return labels, point_at(self.problem, terms, v).error

    def label(self, v: np.ndarray) -> PassRequests[tuple[Tensor, DualTerms]]:
        """Each item's best label at potentials v, and the terms evaluated on the way."""
        labels = torch.empty(self.source.shape[0], dtype=torch.int64, device=self.source.device)
        evaluator = self.evaluator(self.source, self.problem.epsilon, 1.0, n_direct=NO_STORE)
        terms = yield from evaluator.evaluate_exactly(v, labels)
        self.rows_read += self.source.shape[0]
        return labels, terms
