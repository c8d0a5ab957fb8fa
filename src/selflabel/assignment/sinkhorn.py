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
from selflabel.assignment.reading import Everyone, Reading, Turn
from selflabel.assignment.rounding import exact_labels
from selflabel.assignment.scores import LinearScores, Scores, Source, as_source, blocks, refuse_bad, rows_of, thinned
from selflabel.machine import free_memory

FALL = 4.0  # of epsilon from one stage to the next
ROUGH = 0.5  # mass error at which a stage that is not the last ends
THIN_ITEMS, THIN_PER_LABEL = 5_000, 25  # least items of a thinned set, in all and for each label
THICKEN = 4  # times as many items in the next set
SPREAD_ROWS = 2_000  # rows that tell how sharp scores are
INNER = 0.8  # of the tolerance is asked of kept entries, so that all of them meet it
ROUNDS = 3  # of climbing on kept entries before scores are read themselves


@dataclass(frozen=True)
class Assignment:
    """A solved assignment.

    Attributes:
        labels: (N,) int64, `argmax_k (s_ik + v_k)`, or the exact rounding of it.
        potentials: (K,) float64, in the units of the scores.
        error: largest relative error of a label's mass, max_k |mass_k / target_k - 1|, at these potentials, on all scores.
        n_iter: turns taken: how often the potentials were moved.
        n_passes: how often all N x K scores were read or made; turns on thinned items or kept entries need none.
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
    scores: Scores | Sequence[LinearScores],
    epsilon: float = 1 / 25,
    mass: Tensor | np.ndarray | None = None,
    relax: float | None = None,
    tol: float | None = 1e-2,
    max_iter: int = 1000,
    warm_start: Tensor | None = None,
    rounding: str = "argmax",
    group: Any = None,
    memory: int | None = None,
) -> Any:
    """Assign N items to K labels with balanced masses.

    Args:
        scores: (N, K) tensor or array of any float type on any device, or `LinearScores`, or a list of those.
        epsilon: temperature, in the units of the scores; SeLa's lambda is 1 / epsilon.
        mass: (K,) target shares, positive, summing to 1; None is uniform.
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
    if isinstance(scores, Sequence) and not isinstance(scores, (Tensor, np.ndarray)):
        each = warm_start if warm_start is not None else [None] * len(scores)
        return [sinkhorn(s, epsilon, mass, relax, tol, max_iter, w, rounding, group, memory) for s, w in zip(scores, each)]
    started = time.perf_counter()
    source, everyone = as_source(scores), Everyone(group)
    refuse_options(source, epsilon, relax, rounding, group)
    refuse_bad_anywhere(source, everyone)
    log_r = checked_log_mass(mass, source.shape[1])
    strength = math.inf if not relax else epsilon * (1 - relax) / relax
    problem = Problem(log_r, epsilon, strength)
    solve = Solve(source, problem, tol, max_iter, everyone, memory if memory is not None else free_memory(source.device) // 2)
    v = np.zeros(len(log_r)) if warm_start is None else warm_start.detach().double().cpu().numpy().copy()
    if relax == 1.0:
        v, labels, error = solve.free()
    elif tol is None:
        v, labels, error = solve.plainly(v)
    else:
        v, labels, error = solve.climbed(v, cold=warm_start is None)
    if rounding == "exact":
        labels = exact_labels(lambda rows: rows_of(source, rows), v, np.exp(log_r), labels)
    converged = tol is not None and error <= tol
    if tol is not None and not converged:
        text = f"sinkhorn stopped after {solve.turns} turns with a mass error of {error:.3g} (asked: {tol:g})"
        warnings.warn(f"{text}; raise max_iter or epsilon.", RuntimeWarning, stacklevel=2)
    seconds = time.perf_counter() - started
    return Assignment(labels, torch.from_numpy(v), error, solve.turns, solve.passes, seconds, converged, epsilon)


def plan(scores: Scores, assignment: Assignment) -> Tensor:
    """The soft rows of the transport plan: (N, K) float32, each row summing to 1.

    Example:
        >>> import torch
        >>> scores = torch.eye(3)
        >>> plan(scores, sinkhorn(scores)).sum(dim=1)
        tensor([1., 1., 1.])
    """
    epsilon, source = assignment.epsilon, as_source(scores)
    v = assignment.potentials.to(source.device, torch.float32)
    return torch.cat([torch.softmax((b + v) / epsilon, dim=1) for _, b in blocks(source)])


# ---------------------------------------------------------------------------------------------------------- the solve


class Solve:
    """One solve and what it has cost: each way ends in (potentials, labels, error)."""

    def __init__(self, source: Source, problem: Problem, tol: float | None, most: int, everyone: Everyone, memory: int):
        self.source, self.problem, self.tol, self.most = source, problem, tol, most
        self.everyone, self.memory = everyone, memory
        self.learned: dict[float, Curvature] = {}
        self.turns = self.passes = 0

    def reading(self, source: Source, epsilon: float, tol: float) -> Reading:
        return Reading(source, epsilon, tol, self.everyone, self.memory)

    def free(self) -> tuple[np.ndarray, Tensor, float]:
        """Masses left free: no potentials, each item its best label, and no target to miss."""
        v = np.zeros(self.source.shape[1])
        labels, _ = self.labelled(v)
        return v, labels, 0.0

    def plainly(self, v: np.ndarray) -> tuple[np.ndarray, Tensor, float]:
        """Exactly `most` turns of alternation."""
        reading = self.reading(self.source, self.problem.epsilon, 1e-2)
        for _ in range(self.most):
            point = look(self.problem, reading.exactly(v), v)
            v = v + self.problem.epsilon * self.problem.plain_step(point)
        self.turns, self.passes = self.most, reading.passes
        labels, error = self.certified(v)
        return v, labels, error

    def climbed(self, v: np.ndarray, cold: bool) -> tuple[np.ndarray, Tensor, float]:
        """Climb to the tolerance: roughly on thinned items, on kept entries, and until all scores agree."""
        assert self.tol is not None
        if cold:
            N, K = self.everyone.sum(self.source.shape[0])[0], self.source.shape[1]
            step = max(1, int(N // max(THIN_ITEMS, THIN_PER_LABEL * K)))
            thin = thinned(self.source, step)
            for epsilon in self.falling(thin, v):
                v = self.stage(thin, epsilon, v, ROUGH, exact=False)
            while step > 1:
                v = self.stage(thin, self.problem.epsilon, v, max(self.tol, math.sqrt(K * step / N)), exact=False)
                step //= THICKEN
                thin = thinned(self.source, max(1, step))
        labels, error = None, math.inf
        for attempt in range(ROUNDS + 1):
            v = self.stage(
                self.source, self.problem.epsilon, v, self.tol * (1.0 if attempt == ROUNDS else INNER), attempt == ROUNDS
            )
            labels, error = self.certified(v)
            if error <= self.tol or self.turns >= self.most:
                break
        assert labels is not None
        return v, labels, error

    def falling(self, thin: Source, v: np.ndarray) -> list[float]:
        """The epsilons of the stages before the last; none where the first look at the last is not far off."""
        problem, sample = self.problem, rows_of(thin, torch.arange(0, len_of(thin), max(1, len_of(thin) // SPREAD_ROWS)))
        reading = self.reading(thin, problem.epsilon, ROUGH)
        if look(problem, reading.exactly(v), v).error <= 1 or self.most == 0:
            return []
        spread = float((sample.amax(dim=1) - sample.mean(dim=1)).mean()) / 3
        start = float(np.mean(self.everyone.sum(spread, 1)[0] / self.everyone.sum(1)[0]))
        stages = max(0, math.ceil(math.log(max(start, problem.epsilon) / problem.epsilon, FALL) - 1e-9))
        return [problem.epsilon * FALL**j for j in range(stages, 0, -1)]

    def stage(self, source: Source, epsilon: float, v: np.ndarray, tol: float, exact: bool) -> np.ndarray:
        """Climb at one epsilon on one set of items."""
        reading, problem = self.reading(source, epsilon, tol), replace(self.problem, epsilon=epsilon)
        if exact:
            reading.fresh = False  # and no store: scores are read themselves
        first = reading.turn(v)
        dead = first.mass <= LEAST_MASS * 1e10
        if dead.any():
            v = reading.lifted(v, dead)
        learned = self.learned.setdefault(epsilon, Curvature())
        point, turns = climb(reading.turn, problem, v, tol, self.most - self.turns, learned)
        self.turns += turns
        self.passes += math.ceil(reading.passes * len_of(source) / len_of(self.source))
        return point.v

    def certified(self, v: np.ndarray) -> tuple[Tensor, float]:
        """Labels, and the error on all scores in float32."""
        labels, turn = self.labelled(v)
        return labels, look(self.problem, turn, v).error

    def labelled(self, v: np.ndarray) -> tuple[Tensor, Turn]:
        labels = torch.empty(len_of(self.source), dtype=torch.int64, device=self.source.device)
        self.passes += 1
        return labels, self.reading(self.source, self.problem.epsilon, 1e-2).exactly(v, labels)


def len_of(source: Source) -> int:
    return source.shape[0]


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


def refuse_bad_anywhere(source: Source, everyone: Everyone) -> None:
    """Raise on every rank when one has bad scores, so that none is left waiting."""
    try:
        refuse_bad(source)
    except ValueError:
        everyone.sum(1)
        raise
    if everyone.sum(0)[0] > 0:
        raise ValueError("scores have a NaN or infinite value on another rank.")


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
