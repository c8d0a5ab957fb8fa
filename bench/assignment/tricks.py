"""What each part of the solver gains: they are added one at a time, on the same new scores, all to a mass error of 1e-2.

python -m bench.assignment.tricks [N] [K]
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from bench.assignment import mean_top, timed, trained, write
from selflabel.assignment import evaluator, sinkhorn
from selflabel.assignment.dual import History, Problem, maximise, point_at
from selflabel.assignment.evaluator import DualEvaluator
from selflabel.assignment.kernels import cpu, reference
from selflabel.assignment.passes import run_concurrently
from selflabel.assignment.reducer import DualTerms, Reducer
from selflabel.assignment.stores import Workspace

SEEDS, SCALES, LAMBDA, TOLERANCE, MAX_ITER = (0, 1, 2), (3.5, 8.0, 20.0), 25, 1e-2, 400


def alternation(scores: Tensor, kernels: ModuleType) -> tuple[int, float]:
    """Plain alternation on scores in float32: (iterations, error)."""
    problem, v = problem_of(scores), np.zeros(scores.shape[1])
    blocks = scores.split(2048) if kernels is reference else [scores]
    for n_iter in range(MAX_ITER):  # noqa: B007
        parts = [kernels.score_sums(block, torch.from_numpy(v), problem.epsilon) for block in blocks]
        mass = sum(p[0] for p in parts).numpy() / len(scores)
        point = point_at(problem, DualTerms(mass, sum(p[1] for p in parts) / len(scores)), v)
        if point.error <= TOLERANCE:
            break
        v = v + problem.epsilon * problem.plain_step(point)
    return n_iter, point.error


def quasi_newton(scores: Tensor) -> tuple[int, float]:
    """L-BFGS at the final epsilon only, every evaluation from the scores: (iterations, error)."""
    problem = problem_of(scores)
    exact = DualEvaluator(scores, problem.epsilon, TOLERANCE, Reducer(), Workspace(0), n_direct=math.inf)

    def search():
        v = np.zeros(scores.shape[1])
        start = point_at(problem, (yield from exact.evaluate(v)), v)
        return (yield from maximise(exact.evaluate, problem, start, TOLERANCE, MAX_ITER, History()))

    point, n_iter = run_concurrently([search()])[0]
    return n_iter, point.error


def solve(scores: Tensor, memory: int | None = None, sparse: bool = True) -> tuple[int, float]:
    """The solver, without stores (memory=0) or without sparse ones: (iterations, error)."""
    share = evaluator.SPARSE_SHARE
    evaluator.SPARSE_SHARE = share if sparse else 0
    try:
        a = sinkhorn(scores, 1 / LAMBDA, tol=TOLERANCE, max_iter=MAX_ITER, memory=memory)
    finally:
        evaluator.SPARSE_SHARE = share
    return a.n_iter, a.error


def problem_of(scores: Tensor) -> Problem:
    K = scores.shape[1]
    return Problem(np.full(K, -math.log(K)), 1 / LAMBDA)


WAYS: dict[str, Callable[[Tensor], tuple[int, float]]] = {
    "plain alternation, torch, float32": lambda s: alternation(s, reference),
    "+ compiled kernels": lambda s: alternation(s, cpu),
    "+ quasi-Newton steps": quasi_newton,
    "+ falling epsilon, subsamples first": lambda s: solve(s, memory=0),
    "+ exponentials stored in bfloat16": lambda s: solve(s, sparse=False),
    "+ only entries that can matter": solve,
}


def main() -> None:
    N, K = (int(float(x)) for x in [*sys.argv[1:], "5e4", "500"][:2])
    rows = []
    for way in WAYS.values():
        way(trained(20_000, 300, 8.0, 9).product())  # kernels compiled
    for scale in SCALES:
        results: dict = {name: [] for name in WAYS}
        for seed in SEEDS:
            scores = trained(N, K, scale, seed).product()
            for name, way in WAYS.items():
                seconds, (n_iter, error) = timed(lambda w=way, s=scores: w(s))
                results[name].append((seconds, n_iter, error))
        for name, each in results.items():
            row = {"mean top probability": round(mean_top(scores), 2), "way": name}
            row |= {
                "seconds": round(statistics.median(e[0] for e in each), 3),
                "turns": int(statistics.median(e[1] for e in each)),
            }
            row["met the tolerance"] = all(e[2] <= TOLERANCE for e in each)
            print(row, flush=True)
            rows.append(row)
    write("assignment-tricks", {"N": N, "K": K, "lambda": LAMBDA, "tolerance": TOLERANCE, "most turns": MAX_ITER, "rows": rows})


if __name__ == "__main__":
    main()
