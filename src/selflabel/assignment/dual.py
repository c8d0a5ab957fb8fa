"""The dual: a concave function of K potentials, maximised by quasi-Newton steps that never lower it.

With x = v / epsilon, target masses r and m(v) the masses at v, the dual is

    fixed masses     sum_k r_k x_k                                       - mean_i logsumexp_k(s_ik / epsilon + x_k)
    relaxed masses   -(strength / epsilon) sum_k r_k e^(-v_k / strength) - the same

and its gradient in x is t(v) - m(v), where t = r, or t = r exp(-v / strength) for relaxed masses (Chizat et al., 2018). Labels
may differ in strength: of a dummy column it is infinite whatever the others' is, and a free label's is zero. Its potential stays
where it is, and t = m.

Plain alternation (`reference.sinkhorn_reference`) is the step log(t / m). It always increases the dual, but slowly: its error
falls by a constant factor that nears 1 as scores get sharp. Limited-memory BFGS (Nocedal, 1980) with 1 / sqrt(m t) as the initial
inverse Hessian takes ten times fewer steps of the same cost. A step that would lower the dual is shortened, and in the end
replaced by the plain one. With relaxed masses plain alternation brings any two potentials closer by the factor
strength / (strength + epsilon) (Chizat et al., 2018); it is the step as long as masses are far off, where curvature misleads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from selflabel.assignment.passes import PassRequests
from selflabel.assignment.reducer import DualTerms

HISTORY_PAIRS = 20  # pairs of steps and gradient changes that L-BFGS keeps
MAX_MOVE = 8.0  # largest move of a potential in a quasi-Newton step, in epsilons
SHRINK, MAX_TRIES = 0.4, 4  # factor from one step length of the line search to the next, and how many are tried
ARMIJO = 1e-4  # share of the predicted increase that a step must achieve
OBJECTIVE_NOISE = 1e-7  # decrease of the dual, in epsilons, that float32 sums cannot resolve
MIN_MASS = 1e-30
PATIENCE = 100  # steps without a better error before the search ends
QUICK, FAR = 0.9, 1.0  # contraction up to which plain alternation is the step while the error is above FAR
LOST = 1e-3  # of its share: a relaxed label that should have less has lost its items, and its error counts against this much


@dataclass(frozen=True)
class Problem:
    """A transport problem, but for its scores.

    Attributes:
        log_r: (K,) float64, logarithms of the target shares.
        epsilon: temperature, in the units of the scores.
        strength: weight of KL(masses || r) in the units of the scores; infinite holds the masses fixed, 0 leaves them free.
        has_dummy: whether the last label's mass is held fixed, whatever the strength.
    """

    log_r: np.ndarray
    epsilon: float
    strength: float = math.inf
    has_dummy: bool = False

    @cached_property
    def strengths(self) -> np.ndarray:
        """(K,) the strength of each label."""
        result = np.full(len(self.log_r), self.strength)
        if self.has_dummy:
            result[-1] = math.inf
        return result

    @cached_property
    def is_free(self) -> np.ndarray:
        """(K,) bool, labels whose mass nothing holds."""
        return self.strengths == 0

    @property
    def all_fixed(self) -> bool:
        return math.isinf(self.strength)

    def target(self, v: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """(K,) the masses that are optimal at potentials v (K,): r, or r exp(-v / strength), or of a free label its mass."""
        log_target = self.log_r - v / np.where(self.is_free, 1.0, self.strengths)
        return np.where(self.is_free, mass, np.exp(np.clip(log_target, -600, 600)))

    def objective(self, v: np.ndarray, lse: float) -> float:
        """The dual at potentials v (K,), in epsilons; lse is the scores' part of it (`DualTerms.lse`)."""
        fixed = np.isinf(self.strengths)
        relaxed = ~fixed & ~self.is_free
        value = float(np.exp(self.log_r[fixed]) @ v[fixed]) / self.epsilon - lse
        if relaxed.any():
            value -= self.strength / self.epsilon * float(np.exp(self.log_r[relaxed] - v[relaxed] / self.strength).sum())
        return value

    @property
    def contraction(self) -> float:
        """The factor strength / (strength + epsilon) of plain alternation, not of a dummy: 1 for fixed masses, else 1 - relax."""
        return 1.0 if math.isinf(self.strength) else self.strength / (self.strength + self.epsilon)

    def plain_step(self, point: Point) -> np.ndarray:
        """(K,) the step of plain alternation, in epsilons: log(t / m), times each label's contraction."""
        finite = np.where(np.isinf(self.strengths), 0.0, self.strengths)
        contraction_K = np.where(np.isinf(self.strengths), 1.0, finite / (finite + self.epsilon))
        return contraction_K * (np.log(point.target) - np.log(point.mass))

    def curvature(self, point: Point) -> np.ndarray:
        """(K,) an estimate of the negated Hessian's diagonal."""
        of_penalty = self.epsilon / np.where(self.is_free, math.inf, self.strengths)
        return np.sqrt(point.mass * point.target) + point.target * of_penalty


@dataclass
class History:
    """The pairs that L-BFGS estimates curvature from, oldest first: a step, and the change of the gradient along it.

    Pairs of a subsample serve the full set at the same epsilon.
    """

    steps: list[np.ndarray] = field(default_factory=list)
    changes: list[np.ndarray] = field(default_factory=list)

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """Keep a pair (K,), (K,), unless it shows no curvature; the oldest goes when there are too many."""
        if step @ change > 1e-14:
            self.steps, self.changes = [*self.steps[1 - HISTORY_PAIRS :], step], [*self.changes[1 - HISTORY_PAIRS :], change]

    def clear(self) -> None:
        self.steps, self.changes = [], []


@dataclass(frozen=True)
class Point:
    """The dual at some potentials.

    Attributes:
        v: (K,) potentials, in the units of the scores.
        objective: the dual, in epsilons.
        mass: (K,) masses of the labels, at least MIN_MASS.
        target: (K,) the masses that they should have.
        error: max_k |mass_k / target_k - 1|; of relaxed masses |mass_k - target_k| / max(target_k, LOST r_k).
    """

    v: np.ndarray
    objective: float
    mass: np.ndarray
    target: np.ndarray
    error: float

    @property
    def gradient(self) -> np.ndarray:
        return self.target - self.mass


def point_at(problem: Problem, terms: DualTerms, v: np.ndarray) -> Point:
    """The point at potentials v (K,), from the terms evaluated there."""
    mass = np.maximum(terms.mass, MIN_MASS)
    target = problem.target(v, mass)
    scale = np.where(np.isinf(problem.strengths), target, np.maximum(target, LOST * np.exp(problem.log_r)))
    return Point(v, problem.objective(v, terms.lse), mass, target, float((np.abs(mass - target) / scale).max()))


def maximise(
    evaluate: Callable[[np.ndarray], PassRequests[DualTerms]],
    problem: Problem,
    point: Point,
    tol: float,
    max_iter: int,
    history: History,
) -> PassRequests[tuple[Point, int]]:
    """Maximise the dual from a point on, by L-BFGS (Nocedal & Wright, algorithm 7.5).

    Args:
        evaluate: from potentials (K,) to their `DualTerms`.
        problem: what is solved.
        point: where to start.
        tol: stop when the point's error is at most this.
        max_iter: most evaluations.
        history: curvature known beforehand; it grows.

    Returns:
        The last point, and how many evaluations were made. The objective never falls by more than OBJECTIVE_NOISE in a step.
    """

    def look(v: np.ndarray) -> PassRequests[Point]:
        return point_at(problem, (yield from evaluate(v)), v)

    n_iter, best_error, stalled = 0, math.inf, 0
    while point.error > tol and n_iter < max_iter and stalled < PATIENCE:
        # --- direction and step length
        if history.steps and not (point.error > FAR and problem.contraction <= QUICK):
            tries = min(MAX_TRIES, max_iter - n_iter)
            following, tried = yield from line_search(look, point, lbfgs_direction(point, history, problem), problem, tries)
            n_iter += tried
            if following is None:
                history.clear()  # the next step is the plain one
                continue
        else:
            following, n_iter = (yield from look(point.v + problem.epsilon * problem.plain_step(point))), n_iter + 1
        # --- curvature pair (s, y)
        history.add((following.v - point.v) / problem.epsilon, point.gradient - following.gradient)
        point = following
        best_error, stalled = (point.error, 0) if point.error < 0.99 * best_error else (best_error, stalled + 1)
    return point, n_iter


def lbfgs_direction(point: Point, history: History, problem: Problem) -> np.ndarray:
    """(K,) the quasi-Newton step, in epsilons, by the two-loop recursion (Nocedal & Wright, algorithm 7.4)."""
    q, alphas = point.gradient.copy(), []
    inverse = 1 / problem.curvature(point)
    # --- first loop: newest pair to oldest
    for s, y in zip(reversed(history.steps), reversed(history.changes)):
        alphas.append((s @ q) / (s @ y))
        q -= alphas[-1] * y
    # --- initial inverse Hessian, scaled to the newest pair (as in equation 7.20)
    s, y = history.steps[-1], history.changes[-1]
    z = (s @ y) / (y @ (y * inverse)) * inverse * q
    # --- second loop: oldest pair to newest
    for s, y, alpha in zip(history.steps, history.changes, reversed(alphas)):
        z += s * (alpha - (y @ z) / (s @ y))
    return z - z.mean() if problem.all_fixed else z  # with fixed masses a common move changes nothing


def line_search(
    look: Callable[[np.ndarray], PassRequests[Point]], point: Point, step: np.ndarray, problem: Problem, max_tries: int
) -> PassRequests[tuple[Point | None, int]]:
    """Backtrack along a step (K,), in epsilons, until the objective increases enough (Armijo's condition).

    Returns:
        The new point, or None where no length increases the objective enough, and how many lengths were tried.
    """
    increase = float(point.gradient @ step)
    if not increase > 0:
        return None, 0
    length = min(1.0, MAX_MOVE / float(np.abs(step).max()))
    for tried in range(1, max_tries + 1):
        following = yield from look(point.v + length * problem.epsilon * step)
        if following.objective >= point.objective + ARMIJO * length * increase - OBJECTIVE_NOISE:
            return following, tried
        length *= SHRINK
    return None, max_tries
