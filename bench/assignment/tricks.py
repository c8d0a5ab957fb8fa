"""What each trick of the solver buys: they are added one at a time, on the same fresh scores, all to a mass error of 1e-2.

python -m bench.assignment.tricks [N] [K]
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.assignment import mean_top, timed, trained, write
from selflabel.assignment import reading, sinkhorn
from selflabel.assignment.dual import Curvature, Problem, climb, look
from selflabel.assignment.kernels import cpu, reference
from selflabel.assignment.reading import Everyone, Reading, Room
from selflabel.assignment.sinkhorn import together

SEEDS, SCALES, LAMBDA, TOLERANCE, MOST = (0, 1, 2), (3.5, 8.0, 20.0), 25, 1e-2, 400


def alternation(scores: Tensor, work) -> tuple[int, float]:
    """Plain alternation on scores in float32: (turns, error)."""
    problem, v = problem_of(scores), np.zeros(scores.shape[1])
    rows = scores.split(2048) if work is reference else [scores]
    for turns in range(MOST):  # noqa: B007
        parts = [work.score_turn(block, torch.from_numpy(v), problem.epsilon) for block in rows]
        mass = sum(p[0] for p in parts).numpy() / len(scores)
        point = look(problem, reading.Turn(mass, sum(p[1] for p in parts) / len(scores)), v)
        if point.error <= TOLERANCE:
            break
        v = v + problem.epsilon * problem.plain_step(point)
    return turns, point.error


def quasi_newton(scores: Tensor) -> tuple[int, float]:
    """The climb at the last epsilon alone, every turn from the scores."""
    problem = problem_of(scores)
    all_scores = Reading(scores, problem.epsilon, TOLERANCE, Everyone(), Room(0), direct=math.inf)

    def steps():
        v = np.zeros(scores.shape[1])
        here = look(problem, (yield from all_scores.turn(v)), v)
        return (yield from climb(all_scores.turn, problem, here, TOLERANCE, MOST, Curvature()))

    point, turns = together([steps()])[0]
    return turns, point.error


def solved(scores: Tensor, memory: int | None = None, sparse: bool = True) -> tuple[int, float]:
    kept = reading.SPARSE
    reading.SPARSE = kept if sparse else 0
    try:
        a = sinkhorn(scores, 1 / LAMBDA, tol=TOLERANCE, max_iter=MOST, memory=memory)
    finally:
        reading.SPARSE = kept
    return a.n_iter, a.error


def problem_of(scores: Tensor) -> Problem:
    K = scores.shape[1]
    return Problem(np.full(K, -math.log(K)), 1 / LAMBDA)


WAYS: dict[str, Callable[[Tensor], tuple[int, float]]] = {
    "plain alternation, torch, float32": lambda s: alternation(s, reference),
    "+ compiled passes": lambda s: alternation(s, cpu),
    "+ quasi-Newton steps": quasi_newton,
    "+ falling epsilon, thinned items first": lambda s: solved(s, memory=0),
    "+ exponentials stored in bfloat16": lambda s: solved(s, sparse=False),
    "+ only entries that can matter": solved,
}


def main() -> None:
    N, K = (int(float(x)) for x in [*sys.argv[1:], "5e4", "500"][:2])
    rows = []
    for way in WAYS.values():
        way(trained(20_000, 300, 8.0, 9).product())  # kernels compiled
    for scale in SCALES:
        found: dict = {name: [] for name in WAYS}
        for seed in SEEDS:
            scores = trained(N, K, scale, seed).product()
            for name, way in WAYS.items():
                seconds, (turns, error) = timed(lambda w=way, s=scores: w(s))
                found[name].append((seconds, turns, error))
        for name, each in found.items():
            row = {"mean top probability": round(mean_top(scores), 2), "way": name}
            row |= {
                "seconds": round(statistics.median(e[0] for e in each), 3),
                "turns": int(statistics.median(e[1] for e in each)),
            }
            row["met the tolerance"] = all(e[2] <= TOLERANCE for e in each)
            print(row, flush=True)
            rows.append(row)
    write("assignment-tricks", {"N": N, "K": K, "lambda": LAMBDA, "tolerance": TOLERANCE, "most turns": MOST, "rows": rows})


if __name__ == "__main__":
    main()
