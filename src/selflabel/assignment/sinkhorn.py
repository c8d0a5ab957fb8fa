"""Balanced assignment: N items to K labels at the highest total score, every label with its share of the mass.

The problem (SeLa, equation 6; Cuturi, 2013), for scores s (logits, up to a constant a row), target masses r and temperature
epsilon, has a concave dual in the K potentials v once each item's own potential is eliminated:

    maximise  sum_k r_k v_k  -  epsilon * mean_i logsumexp_k((s_ik + v_k) / epsilon)

`reference.sinkhorn_reference` solves it in twenty lines. This is the fast solver, to the same answer: docs/solver.md leads from
one to the other. Sums and potentials are float64.

With `relax` = t in (0, 1] the masses need only be near r, under a Kullback-Leibler penalty of strength epsilon (1 - t) / t
(Chizat et al., 2018): 0 holds them fixed, 1 leaves them free.

With `dummy` a share of the mass goes to no label: a further column takes it, at each item's own score, and its mass is exact even
where the others are relaxed (partial optimal transport; Chapel, Alaya & Gasso, 2020).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.checks import check_finite_on_all_ranks, check_options, log_shares
from selflabel.assignment.dual import Problem
from selflabel.assignment.evaluator import DualEvaluator
from selflabel.assignment.passes import Pass, run_concurrently, run_passes
from selflabel.assignment.reducer import Reducer
from selflabel.assignment.scores import Scores, SharedFeatures, Source, WithDummy, as_source
from selflabel.assignment.solve import NO_STORE, Assignment, Solve
from selflabel.assignment.stores import Workspace
from selflabel.base.machine import free_memory

__all__ = ["Assignment", "plan", "sinkhorn", "soft_masses"]


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
    dummy: Tensor | np.ndarray | Sequence[Tensor] | None = None,
    dummy_mass: float = 0.0,
) -> Any:
    """Assign N items to K labels with balanced masses.

    Args:
        scores: (N, K) tensor or array of any float type on any device, or `LinearScores`, or a list of those.
        epsilon: temperature, in the units of the scores; SeLa's lambda is 1 / epsilon.
        mass: (K,) target shares, positive, summing to 1; None is uniform. A list of them for a list of scores.
        relax: None or 0 holds the masses fixed; up to 1, which leaves them free.
        tol: stop when the largest relative error of a label's mass is below this; None runs exactly max_iter iterations of plain
            alternation, as SwAV does.
        max_iter: most iterations.
        warm_start: (K,) potentials to start from, with a dummy (K + 1,); a list of them for a list of scores.
        rounding: "argmax", the paper's, or "exact": every label gets exactly its integer share of the items, at the least loss of
            score.
        group: a torch.distributed group whose ranks each hold their own rows; only K-vectors are reduced.
        memory: bytes that the solver may hold beside the scores; None is half of what is free.
        dummy: (N,) each item's score of a dummy column, in the units of the scores, whose items get the label -1: the higher, the
            worse the item fits. A list of them for a list of scores. None is no such column.
        dummy_mass: the dummy's share of the mass, between 0 and 1, exact even where `relax` leaves the others free; `mass` are
            shares of the rest.

    Returns:
        An `Assignment`; a list of them for a list of scores.

    Raises:
        ValueError: empty input, NaN or infinite scores (the first such row is named), masses that are not shares, not one dummy
            score an item, or an exact rounding of fewer items than labels, or over a group.

    Warns:
        RuntimeWarning: the tolerance was not reached in max_iter iterations.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 0.0], [1.5, 0.0], [1.0, 0.0], [0.5, 0.0]])
        >>> sinkhorn(scores, epsilon=0.1).labels.tolist()
        [0, 0, 1, 1]
        >>> sinkhorn(scores, epsilon=0.1, dummy=torch.tensor([0.0, 9.0, 0.0, 0.0]), dummy_mass=0.25).labels[1]
        tensor(-1)

    Source: SeLa (Asano et al., 2020), section 3.1.
    """
    is_list = isinstance(scores, Sequence)
    heads: list[Scores] = list(scores) if isinstance(scores, Sequence) else [scores]
    starts = one_each(warm_start, len(heads)) if is_list else [warm_start]
    masses = one_each(mass, len(heads)) if is_list else [mass]
    # --- check everything before anything is solved
    dummies = one_each(dummy, len(heads)) if is_list else [dummy]
    sources, reducer = [as_source(s, d) for s, d in zip(heads, dummies)], Reducer(group)
    for source in sources:
        check_options(source, epsilon, relax, rounding, group)
    check_finite_on_all_ranks(sources, reducer)
    # --- one problem a head
    limit = memory if memory is not None else free_memory(sources[0].device) // 2
    concurrent, features, solves = n_concurrent(sources, limit), SharedFeatures(), []
    strength = math.inf if not relax else epsilon * (1 - relax) / relax
    for source, start, target in zip(sources, starts, masses):
        has_dummy = isinstance(source, WithDummy)
        log_r = log_shares(target, source.shape[1] - has_dummy, dummy_mass if has_dummy else None)
        problem = Problem(log_r, epsilon, strength, has_dummy)
        solve = Solve(source, problem, tol, max_iter, reducer, features, limit // concurrent)
        solves.append(solve.run(relax, start, rounding))
    # --- as many at a time as fit into memory
    results = [a for i in range(0, len(solves), concurrent) for a in run_concurrently(solves[i : i + concurrent])]
    worst = max(results, key=lambda a: a.error)
    if tol is not None and not worst.converged:
        text = f"sinkhorn stopped after {worst.n_iter} iterations with a mass error of {worst.error:.3g} (tolerance: {tol:g})"
        warnings.warn(f"{text}; raise max_iter or epsilon.", RuntimeWarning, stacklevel=2)
    return results if is_list else results[0]


def plan(scores: Scores, assignment: Assignment, dummy: Tensor | np.ndarray | None = None) -> Tensor:
    """The soft labels of an assignment: the rows of the transport plan, each scaled to sum to 1.

    Args:
        scores: what was solved, N x K.
        assignment: its solution.
        dummy: (N,) that it was solved with, or None.

    Returns:
        (N, K) float32 on the scores' device; with a dummy (N, K + 1), the dummy last.

    Example:
        >>> import torch
        >>> scores = torch.eye(3)
        >>> plan(scores, sinkhorn(scores)).sum(dim=1)
        tensor([1., 1., 1.])
    """
    source = as_source(scores, dummy)
    v = assignment.potentials.to(source.device, torch.float32)
    soft = torch.empty(source.shape, device=source.device)

    def fill(rows: slice, block: Tensor) -> None:
        soft[rows] = torch.softmax((block + v) / assignment.epsilon, dim=1)

    run_passes([Pass(source, fill)])
    return soft


def soft_masses(scores: Scores, epsilon: float) -> Tensor:
    """Each label's share of the mass before any balancing: the mean over the items of softmax(s / epsilon).

    `marginals.assign_by_rank` assigns unequal shares to labels by it.

    Args:
        scores: N x K.
        epsilon: temperature, in the units of the scores.

    Returns:
        (K,) float64 on the CPU, summing to 1.
    """
    source = as_source(scores)
    evaluator = DualEvaluator(source, epsilon, 1.0, Reducer(), Workspace(0), n_direct=NO_STORE)
    return torch.from_numpy(run_concurrently([evaluator.evaluate_exactly(np.zeros(source.shape[1]))])[0].mass)


def one_each(value: Any, n: int) -> list:
    """One value for each of n heads: a list as it is, and anything else repeated."""
    return list(value) if isinstance(value, Sequence) else [value] * n


def n_concurrent(sources: Sequence[Source], memory: int) -> int:
    """How many solves run concurrently: as many as can hold all their scores in two bytes each, at least one."""
    return min(len(sources), max(1, memory // (2 * max(1, max(s.shape[0] * s.shape[1] for s in sources)))))
