"""Wall time of a solve beside POT's and ott-jax's, on scores that fit them, to the same mass error (1e-2).

POT runs in float64 (`sinkhorn_log` and the quicker, less stable `sinkhorn`), ott-jax in float32 after a first call that compiles.
The error that each reached is recorded beside its time.

    pip install pot ott-jax && python -m bench.assignment.peers [N] [K]
"""

from __future__ import annotations

import statistics
import sys
import warnings
from importlib.util import find_spec

import numpy as np
import torch

from bench.assignment import mean_top, timed, trained, write
from selflabel.assignment import sinkhorn

SEEDS, LAMBDAS, SCALES, TOLERANCE, MAX_ITER = (0, 1), (10,), (3.5, 8.0, 20.0), 1e-2, 2000
LOG_MAX_ITER = 100  # of POT's solver in log space, whose iterations take a hundred times as long


def error_of(masses: np.ndarray) -> float:
    return float(np.abs(np.asarray(masses) * len(masses) - 1).max())


def pot(method: str):
    """POT's solver. Its `stopThr` is on the norm of the mass errors: set so that the largest of them is about the tolerance."""
    import ot

    def solve(scores: np.ndarray, epsilon: float) -> float:
        N, K = scores.shape
        a, b = np.full(N, 1 / N), np.full(K, 1 / K)
        max_iter = LOG_MAX_ITER if method.endswith("log") else MAX_ITER
        q = ot.sinkhorn(a, b, -scores, epsilon, method=method, stopThr=TOLERANCE / 9 / K**0.5, numItermax=max_iter)
        return error_of(q.sum(axis=0))

    return solve


def ott():
    import jax
    import jax.numpy as jnp
    from ott.geometry import geometry
    from ott.solvers.linear import sinkhorn as ott_sinkhorn

    @jax.jit
    def run(cost, epsilon):
        from ott.problems.linear import linear_problem

        problem = linear_problem.LinearProblem(geometry.Geometry(cost_matrix=cost, epsilon=epsilon))
        out = ott_sinkhorn.Sinkhorn(threshold=TOLERANCE / cost.shape[1], max_iterations=MAX_ITER)(problem)
        return out.matrix.sum(axis=0) / out.matrix.sum()

    def solve(scores: np.ndarray, epsilon: float) -> float:
        return error_of(run(jnp.asarray(-scores, jnp.float32), epsilon).block_until_ready())

    return solve


def peers() -> dict:
    solvers = {}
    if find_spec("ot"):
        solvers |= {"POT sinkhorn": pot("sinkhorn"), "POT sinkhorn_log": pot("sinkhorn_log")}
    if find_spec("ott"):
        solvers["ott-jax"] = ott()
    return solvers


def main() -> None:
    N, K = (int(float(x)) for x in [*sys.argv[1:], "2e4", "2.5e2"][:2])
    rows, theirs = [], peers()
    for scale in SCALES:
        for lamb in LAMBDAS:
            seconds: dict[str, list[float]] = {"selflabel": []}
            errors: dict[str, list[float]] = {}
            for seed in (-1, *SEEDS):  # the first compiles, and is not counted
                scores = trained(N, K, scale, seed + 1).product()
                took, a = timed(lambda s=scores, e=1 / lamb: sinkhorn(s, e, tol=TOLERANCE))
                assert a.converged
                if seed >= 0:
                    seconds["selflabel"].append(took)
                for name, solve in theirs.items():
                    with warnings.catch_warnings(), np.errstate(all="ignore"):
                        warnings.simplefilter("ignore")
                        took, error = timed(lambda f=solve, s=scores, e=1 / lamb: f(s.double().numpy(), e))
                    if seed >= 0:
                        seconds.setdefault(name, []).append(took)
                        errors.setdefault(name, []).append(error)
            ours = seconds["selflabel"]
            row = {
                "mean top probability": round(mean_top(scores), 3),
                "lambda": lamb,
                "seconds": round(statistics.median(ours), 3),
            }
            for name in theirs:
                ratio = statistics.median(t / o for t, o in zip(seconds[name], ours))
                row[name] = {"ratio": round(ratio, 1), "error": float(f"{max(errors[name]):.2g}")}
            print(row, flush=True)
            rows.append(row)
    write("assignment-peers", {"N": N, "K": K, "tolerance": TOLERANCE, "seeds": SEEDS, "most turns": MAX_ITER, "rows": rows})


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
