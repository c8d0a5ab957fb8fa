"""Time and memory as items grow from 10^4 to 10^7: 256 labels, 64-dimensional features in half precision, streamed from disk.

python -m bench.assignment.growth [largest]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from bench.assignment import Peak, timed, trained, write
from selflabel.assignment import LinearScores, sinkhorn

SIZES, K, D, SCALE, LAMBDA, MEMORY = (10**4, 10**5, 10**6, 10**7), 256, 64, 10.0, 25, 256 << 20
PART_ROWS = 10**6


def save(n: int, file: Path) -> None:
    """Write features of n items, a part at a time."""
    out = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(n, D))
    for start in range(0, n, PART_ROWS):
        part = trained(min(PART_ROWS, n - start), K, SCALE, 0, D).features.numpy()
        out[start : start + len(part)] = part + 0.01 * np.random.default_rng(start).standard_normal(part.shape, np.float32)
    out.flush()


def solve_file(file: str) -> None:
    """Solve over the features of a file, and print what it took."""
    head = trained(1, K, SCALE, 0, D)
    x = np.load(file, mmap_mode="c")
    solve = partial(sinkhorn, epsilon=1 / LAMBDA, memory=MEMORY)
    solve(LinearScores(x[:PART_ROWS], head.weight, head.bias))  # kernels compiled
    with Peak() as peak:
        seconds, a = timed(lambda: solve(LinearScores(x, head.weight, head.bias)))
    row = {"N": len(x), "seconds": round(seconds, 2), "error": round(a.error, 4), "passes": a.n_passes, "turns": a.n_iter}
    print(
        json.dumps(
            row | {"microseconds an item": round(1e6 * seconds / len(x), 2), "GB beside the file": round(peak.gigabytes, 2)}
        )
    )


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1].endswith(".npy"):
        return solve_file(sys.argv[1])
    largest = int(float(sys.argv[1])) if len(sys.argv) > 1 else SIZES[-1]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in [n for n in SIZES if n <= largest]:
            file = Path(folder) / f"{n}.npy"
            save(n, file)
            words = [sys.executable, "-m", "bench.assignment.growth", str(file)]
            process = subprocess.run(words, capture_output=True, text=True, check=True)
            rows.append(json.loads(process.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
            file.unlink()
    write("assignment-growth", {"K": K, "D": D, "lambda": LAMBDA, "memory": MEMORY, "rows": rows})


if __name__ == "__main__":
    main()
