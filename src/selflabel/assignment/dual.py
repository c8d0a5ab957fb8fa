"""THE DUAL: a concave function of K potentials, climbed by quasi-Newton steps that never lose height.

With x = v / epsilon, target masses r and m(v) the masses under v, the dual is

    fixed masses     sum_k r_k x_k                                   - mean_i logsumexp_k(s_ik / epsilon + x_k)
    relaxed masses   -(strength / epsilon) sum_k r_k e^(-v_k / strength) - the same

and its gradient in x is t(v) - m(v), where t = r, or r exp(-v / strength) when relaxed. Plain alternation is the step
log(t / m), which always climbs but slowly: its error falls by a constant factor that nears 1 as scores get sharp. Limited-
memory BFGS (Nocedal, 1980), with 1 / sqrt(m t) as its first curvature, takes ten times fewer turns at the same cost a
turn; a step that would lose height is shortened, and at last replaced by the plain one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from selflabel.assignment.reading import Steps, Turn

MEMORY = 20  # pairs of steps and gradient changes that curvature is learned from
LONGEST = 8.0  # of a quasi-Newton step, in epsilons
SHORTEN, TRIES = 0.4, 4
SLACK = 1e-7  # of height, in epsilons: what float32 sums cannot tell
LEAST_MASS = 1e-30
PATIENCE = 100  # turns without a better error after which more are of no use


@dataclass(frozen=True)
class Problem:
    """log_r: (K,) log target shares. epsilon: temperature. strength: of the pull of masses to r; infinite is fixed."""

    log_r: np.ndarray
    epsilon: float
    strength: float = math.inf

    def log_target(self, v: np.ndarray) -> np.ndarray:
        return self.log_r - v / self.strength

    def height(self, v: np.ndarray, lse: float) -> float:
        if math.isinf(self.strength):
            return float(np.exp(self.log_r) @ v) / self.epsilon - lse
        return -self.strength / self.epsilon * float(np.exp(self.log_target(v)).sum()) - lse

    def plain_step(self, point: Point) -> np.ndarray:
        """Plain alternation, v = give (v + epsilon log(r / m)), as a step in epsilons; give = strength / (strength + epsilon)."""
        give = 1.0 if math.isinf(self.strength) else self.strength / (self.strength + self.epsilon)
        return give * (np.log(point.target) - np.log(point.mass))

    def curvature(self, point: Point) -> np.ndarray:
        """A first guess of the Hessian's diagonal, negated."""
        return np.sqrt(point.mass * point.target) + point.target * (self.epsilon / self.strength)


@dataclass
class Curvature:
    """What steps at one epsilon have taught: pairs of a step and the change of the gradient along it, oldest first.

    It is as good on more items of the same set.
    """

    steps: list[np.ndarray] = field(default_factory=list)
    changes: list[np.ndarray] = field(default_factory=list)

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        if step @ change > 1e-14:
            self.steps, self.changes = [*self.steps[1 - MEMORY :], step], [*self.changes[1 - MEMORY :], change]

    def forget(self) -> None:
        self.steps, self.changes = [], []


@dataclass(frozen=True)
class Point:
    """Where the climb stands. error: max |mass / target - 1|."""

    v: np.ndarray
    height: float
    mass: np.ndarray
    target: np.ndarray
    error: float

    @property
    def slope(self) -> np.ndarray:
        return self.target - self.mass


def look(problem: Problem, turn: Turn, v: np.ndarray) -> Point:
    """The point at v, from the turn taken there."""
    mass = np.maximum(turn.mass, LEAST_MASS)
    target = np.exp(np.clip(problem.log_target(v), -600, 600))
    return Point(v, problem.height(v, turn.lse), mass, target, float(np.abs(mass / target - 1).max()))


def climb(
    ask: Callable[[np.ndarray], Steps[Turn]], problem: Problem, here: Point, tol: float, most: int, learned: Curvature
) -> Steps[tuple[Point, int]]:
    """Climb from `here` until the error is at most tol or `most` turns are taken.

    Returns:
        The last point, and the turns taken. Heights along the way never fall by more than SLACK.
    """

    def at(v: np.ndarray) -> Steps[Point]:
        return look(problem, (yield from ask(v)), v)

    turns, best, since = 0, math.inf, 0
    while here.error > tol and turns < most and since < PATIENCE:
        if learned.steps:
            tries = min(TRIES, most - turns)
            there, tried = yield from searched(at, here, quasi_newton(here, learned, problem), problem, tries)
            turns += tried
            if there is None:
                learned.forget()
                continue
        else:
            there, turns = (yield from at(here.v + problem.epsilon * problem.plain_step(here))), turns + 1
        learned.learn((there.v - here.v) / problem.epsilon, here.slope - there.slope)
        here = there
        best, since = (here.error, 0) if here.error < 0.99 * best else (best, since + 1)
    return here, turns


def quasi_newton(here: Point, learned: Curvature, problem: Problem) -> np.ndarray:
    """The two-loop recursion of limited-memory BFGS (Nocedal & Wright, algorithm 7.4)."""
    q, weights = here.slope.copy(), []
    inverse = 1 / problem.curvature(here)
    for s, y in zip(reversed(learned.steps), reversed(learned.changes)):
        weights.append((s @ q) / (s @ y))
        q -= weights[-1] * y
    s, y = learned.steps[-1], learned.changes[-1]
    z = (s @ y) / (y @ (y * inverse)) * inverse * q
    for s, y, weight in zip(learned.steps, learned.changes, reversed(weights)):
        z += s * (weight - (y @ z) / (s @ y))
    return z - z.mean() if math.isinf(problem.strength) else z


def searched(
    at: Callable[[np.ndarray], Steps[Point]], here: Point, step: np.ndarray, problem: Problem, tries: int
) -> Steps[tuple[Point | None, int]]:
    """A point along the step that is high enough, and the turns it took; None where there is none."""
    rise = float(here.slope @ step)
    if not rise > 0:
        return None, 0
    length = min(1.0, LONGEST / float(np.abs(step).max()))
    for tried in range(1, tries + 1):
        there = yield from at(here.v + length * problem.epsilon * step)
        if there.height >= here.height + 1e-4 * length * rise - SLACK:
            return there, tried
        length *= SHORTEN
    return None, tries
