"""Wall time of a solve beside the published recursion's (float64, numpy, plain alternation), both to a mass error of 1e-2.

Every seed has its own scores. The recursion is stopped once it has taken PATIENCE times as long as ours: the ratio is then a
lower bound, which "published converged" shows.

    python -m bench.assignment.published [N] [K]
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

from bench.assignment import SCALES, mean_top, timed, trained, write
from selflabel.assignment import sinkhorn

SEEDS, LAMBDAS, TOLERANCE, PATIENCE = (0, 1, 2), (10, 25), 1e-2, 30


def published(scores: torch.Tensor, lamb: float, limit: float) -> tuple[float, int, float]:
    """(seconds, iterations, error) of the recursion of self-label's code: probabilities to a power, then row and column scalings.

    Every tenth iteration the masses of the labels are checked, as ours are.
    """
    p = torch.softmax(scores.double(), dim=1).numpy()
    started = time.perf_counter()
    kernel = p.T**lamb
    K, N = kernel.shape
    c, n_iter, error = np.ones(N) / N, 0, np.inf
    while error > TOLERANCE and time.perf_counter() - started < limit:
        r = (1 / K) / (kernel @ c)
        c = (1 / N) / (r @ kernel)
        n_iter += 1
        if n_iter % 10 == 0:
            error = float(np.abs((kernel @ c) * r * K - 1).max())
    return time.perf_counter() - started, n_iter, error


def main() -> None:
    N, K = (int(float(x)) for x in [*sys.argv[1:], "1e5", "1e3"][:2])
    sinkhorn(trained(20_000, K, 8.0, 9).product(), 1 / 10)  # kernels compiled
    rows = []
    for scale in SCALES:
        for lamb in LAMBDAS:
            ratios, ours, theirs, done = [], [], [], True
            for seed in SEEDS:
                scores = trained(N, K, scale, seed).product()
                seconds, a = timed(lambda s=scores, e=1 / lamb: sinkhorn(s, e, tol=TOLERANCE))
                assert a.converged
                took, n_iter, error = published(scores, lamb, PATIENCE * seconds)
                done = done and error <= TOLERANCE
                ours.append(seconds), theirs.append(took), ratios.append(took / seconds)
            row = {
                "mean top probability": round(mean_top(scores), 3),
                "lambda": lamb,
                "seconds": round(statistics.median(ours), 3),
                "published seconds": round(statistics.median(theirs), 1),
                "published converged": done,
                "ratio": round(statistics.median(ratios), 1),
                "turns": a.n_iter,
                "passes": a.n_passes,
                "published turns": n_iter,
            }
            print(row, flush=True)
            rows.append(row)
    write("assignment-published", {"N": N, "K": K, "tolerance": TOLERANCE, "seeds": SEEDS, "patience": PATIENCE, "rows": rows})


if __name__ == "__main__":
    main()
