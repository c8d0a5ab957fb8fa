"""Balanced assignment: N items to K labels at the highest total score, every label at its share of the mass.

The problem (SeLa, equation 6; Cuturi, 2013), for scores s (logits, up to a constant a row), target masses r and
temperature epsilon, has a concave dual in K potentials v alone, once each item's own potential is eliminated:

    maximise  sum_k r_k v_k  -  epsilon * mean_i logsumexp_k((s_ik + v_k) / epsilon)

It is climbed (`dual`) from a flat problem to the sharp one: epsilon falls by a factor of 4 at a time, on a thinned set of
items while precision is not yet needed. A turn reads the scores as cheaply as is exact enough (`reading`), on kernels
written for the device (`kernels`). Whatever was thinned, dropped or rounded on the way, the answer's error is measured on
all the scores in float32, and climbing goes on until it holds there. Sums and potentials are float64.

With `relax` = t in (0, 1] the masses need only be near r, under a Kullback-Leibler penalty of strength
epsilon (1 - t) / t (Chizat et al., 2018): 0 holds them fixed, 1 leaves them free.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.dual import LEAST_MASS, Curvature, Problem, climb, look
from selflabel.assignment.reading import Everyone, Reading, Room, Steps, T, Turn
from selflabel.assignment.rounding import exact_labels
from selflabel.assignment.scores import (
    Items,
    Pass,
    Scores,
    Source,
    as_source,
    read,
    refuse_bad,
    rows_of,
    same_items,
    some_rows,
)
from selflabel.base.machine import free_memory

FALL = 4.0  # of epsilon from one stage to the next
ROUGH = 0.5  # mass error at which a stage that is not the last ends
THIN_ITEMS, THIN_PER_LABEL = 5_000, 25  # least items of a thinned set, in all and for each label
THICKEN = 4  # times as many items in the next set
SPREAD_ROWS = 2_000  # rows that tell how sharp scores are
INNER = 0.8  # of the tolerance is asked of kept entries, so that all of them meet it
FEW = 1  # turns of a rough stage before a store is made
NEVER_HELD = math.inf
ROUNDS = 3  # of climbing on kept entries before scores are read themselves


@dataclass(frozen=True)
class Assignment:
    """A solved assignment.

    Attributes:
        labels: (N,) int64, `argmax_k (s_ik + v_k)`, or the exact rounding of it.
        potentials: (K,) float64, in the units of the scores.
        error: largest relative error of a label's mass, max_k |mass_k / target_k - 1|, at these potentials, on all scores.
        n_iter: turns taken: how often the potentials were moved.
        n_passes: how often all N x K scores were read or made, rounded up; thinned items count as what they are of all, and turns
            on what a store holds need none.
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


def sinkhorn(
    scores: Scores | Sequence[Scores],
    epsilon: float = 1 / 25,
    mass: Tensor | np.ndarray | Sequence[Tensor] | None = None,
    relax: float | None = None,
    tol: float | None = 1e-2,
    max_iter: int = 1000,
    warm_start: Tensor | Sequence[Tensor] | None = None,
    rounding: str = "argmax",
    group: Any = None,
    memory: int | None = None,
) -> Any:
    """Assign N items to K labels with balanced masses.

    Args:
        scores: (N, K) tensor or array of any float type on any device, or `LinearScores`, or a list of those.
        epsilon: temperature, in the units of the scores; SeLa's lambda is 1 / epsilon.
        mass: (K,) target shares, positive, summing to 1; None is uniform. A list of them for a list of scores.
        relax: None or 0 holds the masses fixed; up to 1, which leaves them free.
        tol: stop when the largest relative error of a label's mass is below this; None runs exactly max_iter turns of plain
            alternation, as SwAV does.
        max_iter: most turns.
        warm_start: (K,) potentials to start from; a list of them for a list of scores.
        rounding: "argmax", the paper's, or "exact": every label gets exactly its integer share of the items, at the least loss of
            score.
        group: a torch.distributed group whose ranks each hold their own rows; only K-vectors are reduced.
        memory: bytes that the solver may hold beside the scores; None is half of what is free.

    Returns:
        An `Assignment`; a list of them for a list of scores.

    Raises:
        ValueError: empty input, NaN or infinite scores (the first such row is named), masses that are not shares, or an exact
            rounding of fewer items than labels, or over a group.

    Warns:
        RuntimeWarning: the tolerance was not reached in max_iter turns.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 0.0], [1.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
        >>> sinkhorn(scores, epsilon=0.1).labels.tolist()
        [0, 0, 1, 1]

    Source: SeLa (Asano et al., 2020), section 3.1.
    """
    heads = isinstance(scores, Sequence)
    asked: list[Scores] = list(scores) if isinstance(scores, Sequence) else [scores]
    starts = one_each(warm_start, len(asked)) if heads else [warm_start]
    targets = one_each(mass, len(asked)) if heads else [mass]
    sources, everyone = [as_source(s) for s in asked], Everyone(group)
    for source in sources:
        refuse_options(source, epsilon, relax, rounding, group)
    refuse_bad_anywhere(sources, everyone)
    solves, items = [], Items()
    room = memory if memory is not None else free_memory(sources[0].device) // 2
    each = at_once(sources, room)
    for source, start, target in zip(sources, starts, targets):
        log_r = checked_log_mass(target, source.shape[1])
        problem = Problem(log_r, epsilon, math.inf if not relax else epsilon * (1 - relax) / relax)
        solves.append(Solve(source, problem, tol, max_iter, everyone, items, room // each).assignment(relax, start, rounding))
    found = [a for i in range(0, len(solves), each) for a in together(solves[i : i + each])]
    worst = max(found, key=lambda a: a.error)
    if tol is not None and not worst.converged:
        text = f"sinkhorn stopped after {worst.n_iter} turns with a mass error of {worst.error:.3g} (asked: {tol:g})"
        warnings.warn(f"{text}; raise max_iter or epsilon.", RuntimeWarning, stacklevel=2)
    return found if heads else found[0]


def plan(scores: Scores, assignment: Assignment) -> Tensor:
    """The soft rows of the transport plan: (N, K) float32, each row summing to 1.

    Example:
        >>> import torch
        >>> scores = torch.eye(3)
        >>> plan(scores, sinkhorn(scores)).sum(dim=1)
        tensor([1., 1., 1.])
    """
    source = as_source(scores)
    v = assignment.potentials.to(source.device, torch.float32)
    rows = torch.empty(source.shape, device=source.device)

    def soften(where: slice, block: Tensor) -> None:
        rows[where] = torch.softmax((block + v) / assignment.epsilon, dim=1)

    read([Pass(source, soften)])
    return rows


def soft_masses(scores: Scores, epsilon: float) -> Tensor:
    """(K,) float64: the share of the mass that each label has of itself, before any balancing.

    What `marginals.matched` deals unequal shares out by.
    """
    source = as_source(scores)
    reading, v = Reading(source, epsilon, 1.0, Everyone(), Room(0), direct=NEVER_HELD), np.zeros(source.shape[1])
    return torch.from_numpy(together([reading.exactly(v)])[0].mass)


# ---------------------------------------------------------------------------------------------------------- the solve


class Solve:
    """One solve and what it has cost. Each way to the potentials returns (potentials, labels, error)."""

    def __init__(
        self, source: Source, problem: Problem, tol: float | None, most: int, everyone: Everyone, items: Items, memory: int
    ):
        self.source, self.problem, self.tol, self.most = source, problem, tol, most
        self.everyone, self.items, self.room = everyone, items, Room(memory, 2 * source.shape[0] * source.shape[1])
        self.learned: dict[float, Curvature] = {}
        self.turns = self.read = 0  # read: rows of scores, again and again

    def assignment(self, relax: float | None, start: Tensor | None, rounding: str) -> Steps[Assignment]:
        started = time.perf_counter()
        v = np.zeros(self.source.shape[1]) if start is None else start.detach().double().cpu().numpy().copy()
        if relax == 1.0:
            way = self.free(v)
        elif self.tol is None:
            way = self.plainly(v)
        else:
            way = self.climbed(v, self.tol, cold=start is None)
        v, labels, error = yield from way
        if rounding == "exact":
            labels = exact_labels(lambda rows: rows_of(self.source, rows), v, np.exp(self.problem.log_r), labels)
        seconds, converged = time.perf_counter() - started, self.tol is not None and error <= self.tol
        potentials = torch.from_numpy(v)
        passes = math.ceil(self.read / max(1, self.source.shape[0]))
        return Assignment(labels, potentials, error, self.turns, passes, seconds, converged, self.problem.epsilon)

    def reading(self, source: Source, epsilon: float, tol: float, direct: float) -> Reading:
        return Reading(source, epsilon, tol, self.everyone, self.room, direct)

    def free(self, v: np.ndarray) -> Steps[tuple[np.ndarray, Tensor, float]]:
        """Masses left free: no potentials, each item its best label, and no target to miss."""
        v = np.zeros_like(v)
        labels, _ = yield from self.labelled(v)
        return v, labels, 0.0

    def plainly(self, v: np.ndarray) -> Steps[tuple[np.ndarray, Tensor, float]]:
        """Exactly `most` turns of alternation."""
        reading = self.reading(self.source, self.problem.epsilon, 1.0, direct=NEVER_HELD)
        for _ in range(self.most):
            point = look(self.problem, (yield from reading.exactly(v)), v)
            v = v + self.problem.epsilon * self.problem.plain_step(point)
        self.turns, self.read = self.most, reading.passes * self.source.shape[0]
        labels, error = yield from self.certified(v)
        return v, labels, error

    def climbed(self, v: np.ndarray, tol: float, cold: bool) -> Steps[tuple[np.ndarray, Tensor, float]]:
        """Climb to the tolerance: roughly on thinned items, on kept entries, and until all scores agree."""
        epsilon, K = self.problem.epsilon, self.source.shape[1]
        if cold:
            N = self.everyone.sum(self.source.shape[0])[0]
            step = max(1, int(N // max(THIN_ITEMS, THIN_PER_LABEL * K)))
            thin = self.items.thinned(self.source, step)
            for higher in (yield from self.falling(thin, v)):
                v = yield from self.stage(thin, higher, v, ROUGH, direct=FEW)
            while step > 1:
                v = yield from self.stage(thin, epsilon, v, max(tol, math.sqrt(K * step / N)))
                step //= THICKEN
                thin = self.items.thinned(self.source, max(1, step))
            del thin
        for _ in range(ROUNDS):
            v = yield from self.stage(self.source, epsilon, v, tol * INNER)
            labels, error = yield from self.certified(v)
            if error <= tol or self.turns >= self.most:
                return v, labels, error
        v = yield from self.stage(self.source, epsilon, v, tol, direct=NEVER_HELD)
        labels, error = yield from self.certified(v)
        return v, labels, error

    def falling(self, thin: Source, v: np.ndarray) -> Steps[list[float]]:
        """The epsilons of the stages before the last; none where the first look at the last is not far off."""
        problem, reading = self.problem, self.reading(thin, self.problem.epsilon, ROUGH, direct=FEW)
        first = yield from reading.turn(v)
        self.read += reading.passes * thin.shape[0]
        if look(problem, first, v).error <= 1 or self.most == 0:
            return []
        sample = some_rows(thin, SPREAD_ROWS)
        spreads, rows = self.everyone.sum(float((sample.amax(dim=1) - sample.mean(dim=1)).sum()), len(sample))
        stages = math.ceil(math.log(max(spreads / rows / 3, problem.epsilon) / problem.epsilon, FALL) - 1e-9)
        return [problem.epsilon * FALL**j for j in range(stages, 0, -1)]

    def stage(self, source: Source, epsilon: float, v: np.ndarray, tol: float, direct: float = 0) -> Steps[np.ndarray]:
        """Climb at one epsilon on one set of items."""
        reading, problem = self.reading(source, epsilon, tol, direct), replace(self.problem, epsilon=epsilon)
        here = look(problem, (yield from reading.turn(v)), v)
        dead = here.mass <= LEAST_MASS * 1e10
        if dead.any():
            v = yield from reading.lifted(v, dead)
            here = look(problem, (yield from reading.turn(v)), v)
        learned = self.learned.setdefault(epsilon, Curvature())
        there, turns = yield from climb(reading.turn, problem, here, tol, self.most - self.turns, learned)
        self.turns += turns
        self.read += reading.passes * source.shape[0]
        return there.v

    def certified(self, v: np.ndarray) -> Steps[tuple[Tensor, float]]:
        """Labels, and the error on all scores in float32."""
        labels, turn = yield from self.labelled(v)
        return labels, look(self.problem, turn, v).error

    def labelled(self, v: np.ndarray) -> Steps[tuple[Tensor, Turn]]:
        labels = torch.empty(self.source.shape[0], dtype=torch.int64, device=self.source.device)
        reading = self.reading(self.source, self.problem.epsilon, 1.0, direct=NEVER_HELD)
        turn = yield from reading.exactly(v, labels)
        self.read += self.source.shape[0]
        return labels, turn


def together(solves: Sequence[Steps[T]]) -> list[T]:
    """Run solves side by side, so that passes over the same items are made once for all.

    Passes over few items come first: those over all wait until every solve has come to one.
    """
    found: dict[int, T] = {}
    waiting: dict[int, Pass] = {}

    def go_on(i: int) -> None:
        try:
            waiting[i] = next(solves[i])
        except StopIteration as end:
            waiting.pop(i, None)
            found[i] = end.value

    for i in range(len(solves)):
        go_on(i)
    while waiting:
        first = min(waiting.values(), key=lambda p: p.source.shape[0]).source
        chosen = [i for i, p in waiting.items() if same_items(p.source) == same_items(first)]
        read([waiting[i] for i in chosen])
        for i in chosen:
            go_on(i)
    return [found[i] for i in range(len(solves))]


def one_each(given: Any, n: int) -> list:
    """One for every head: a list as it is, and anything else for all."""
    return list(given) if isinstance(given, Sequence) else [given] * n


def at_once(sources: Sequence[Source], memory: int) -> int:
    """How many solves go side by side: as many as can hold all their scores in two bytes each."""
    return min(len(sources), max(1, memory // (2 * max(1, max(s.shape[0] * s.shape[1] for s in sources)))))


# ----------------------------------------------------------------------------------------------------------- the input


def refuse_options(source: Source, epsilon: float, relax: float | None, rounding: str, group: Any) -> None:
    N, K = source.shape
    if K == 0 or (N == 0 and group is None):
        raise ValueError(f"scores are empty: {N} items and {K} labels.")
    if rounding not in ("argmax", "exact"):
        raise ValueError(f"rounding must be 'argmax' or 'exact', not {rounding!r}.")
    if rounding == "exact" and group is not None:
        raise ValueError("rounding='exact' needs all rows in one process; solve with 'argmax', then round on one rank.")
    if rounding == "exact" and K > N:
        raise ValueError(f"rounding='exact' needs an item for every label: {N} items and {K} labels.")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, not {epsilon}.")
    if relax is not None and not 0 <= relax <= 1:
        raise ValueError(f"relax must lie between 0 (fixed masses) and 1 (free), not {relax}.")


def refuse_bad_anywhere(sources: Sequence[Source], everyone: Everyone) -> None:
    """Raise on every rank when one has bad scores, so that none is left waiting."""
    found: ValueError | None = None
    try:
        refuse_bad(sources)
    except ValueError as bad:
        found = bad
    if everyone.sum(0 if found is None else 1)[0] > 0:
        raise found or ValueError("scores have a NaN or infinite value on another rank.")


def checked_log_mass(mass: Tensor | np.ndarray | None, K: int) -> np.ndarray:
    if mass is None:
        return np.full(K, -math.log(K))
    r = torch.as_tensor(mass).detach().double().cpu().numpy()
    if r.shape != (K,):
        raise ValueError(f"mass must have one share for each of the {K} labels, found shape {r.shape}.")
    if not np.isfinite(r).all() or r.min() <= 0:
        raise ValueError(f"every share of mass must be positive; the least is {r.min():g}.")
    if abs(r.sum() - 1) > 1e-4:
        raise ValueError(f"the shares of mass must sum to 1; they sum to {r.sum():g}.")
    return np.log(r / r.sum())
