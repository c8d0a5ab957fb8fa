"""How near an evaluation comes to the machine's memory rate: bytes read a second, over those of a plain sum by the same cores.

python -m bench.assignment.passes [N] [K] [cpu|cuda]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from bench.assignment import trained, write
from selflabel.assignment.kernels import kernels_for

REPEATS, EPSILON = 15, 1 / 25


def median_seconds(work: Callable[[], object], wait: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS + 1):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def plain_sum(device: str) -> Callable[[torch.Tensor], object]:
    """The quickest possible read: a sum of all entries, each core over its own rows."""
    if device == "cuda":
        return lambda x: x.view(torch.float32).sum()
    from numba import njit

    from selflabel.assignment.kernels.cpu import in_threads

    @njit(nogil=True, fastmath=True)
    def total(x):
        s = np.float32(0)
        for i in range(len(x)):
            s += x[i]
        return s

    def read(x: torch.Tensor) -> object:
        flat = x.view(torch.float32).numpy().reshape(-1)
        return in_threads(lambda rows: total(flat[rows]), len(flat))

    return read


def main() -> None:
    given = [*sys.argv[1:], *("1e5", "1e3", "cpu")[len(sys.argv) - 1 :]]
    N, K, device = int(float(given[0])), int(float(given[1])), given[2]
    kernels = kernels_for(torch.device(device), N * K)
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    source = trained(N, K, 8.0, 0)
    # numpy, unlike torch, asks for large pages, as the solver's stores do
    scores = torch.from_numpy(source.product().numpy().copy()).to(device)
    dense = torch.from_numpy(np.empty((N, K), np.int16)).to(device)
    packed, scales = torch.from_numpy(np.empty((N, K), np.int16)).to(device), torch.empty(N, device=device)
    v = torch.zeros(K, dtype=torch.float64)
    kernels.dense_kernel(scores, v, EPSILON, dense.view(torch.bfloat16))
    kernels.pack(scores, packed, scales)
    read = plain_sum(device)
    rates = {"plain sum": scores.nbytes / median_seconds(lambda: read(scores), wait)}
    evaluations = {
        "float32 scores": (scores.nbytes, lambda: kernels.score_sums(scores, v, EPSILON)),
        "bfloat16 exponentials": (dense.nbytes, lambda: kernels.dense_sums(dense.view(torch.bfloat16), v)),
        "16-bit scores": (packed.nbytes, lambda: kernels.packed_sums(packed, scales, v, EPSILON)),
    }
    rows = {}
    for name, (size, evaluate) in evaluations.items():
        seconds = median_seconds(evaluate, wait)
        rate = size / seconds
        rows[name] = {
            "milliseconds": round(1e3 * seconds, 2),
            "GB/s": round(rate / 1e9, 1),
            "over a plain sum": round(rate / rates["plain sum"], 2),
        }
        print(name, rows[name], flush=True)
    print("plain sum", round(rates["plain sum"] / 1e9, 1), "GB/s")
    name = "assignment-passes" if device == "cpu" else "assignment-passes-gpu"
    write(name, {"N": N, "K": K, "device": device, "plain sum GB/s": round(rates["plain sum"] / 1e9, 1), "turns": rows})


if __name__ == "__main__":
    main()
