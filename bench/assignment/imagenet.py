"""ImageNet's label step: 1,281,167 items to 3,000 labels from 256-dimensional features, to a mass error of 1e-2.

Each setting runs in a process of its own, so that peak memory is measured for it alone. "streamed" may hold 1 GB beside the
features, which are then on disk in half precision.

    python -m bench.assignment.imagenet [cpu|cuda]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from bench.assignment import Peak, mean_top, timed, trained, write
from selflabel.assignment import LinearScores, sinkhorn
from selflabel.assignment.scores import sample_rows

N, K, D = 1_281_167, 3_000, 256
SCALES, LAMBDA, STREAM_MEMORY = (6.0, 12.0, 20.0), 25, 1 << 30
STREAMED_SCALES = SCALES[-1:]  # one shows what streaming costs


def solve_once(scale: float, way: str, device: str, folder: str) -> None:
    """Solve once and print what it took."""
    source = trained(N, K, scale, 0, D)
    if way == "streamed":
        np.save(Path(folder) / "x.npy", source.features.half().numpy())
        weights = source.weight, source.bias
        del source
        source = LinearScores(np.load(Path(folder) / "x.npy", mmap_mode="c"), *weights)
    elif device == "cuda":
        source = LinearScores(source.features.to(device), source.weight.to(device), source.bias.to(device))
        sinkhorn(LinearScores(source.features[:20_000], source.weight, source.bias), 1 / LAMBDA)  # kernels compiled
    with Peak() as peak:
        seconds, a = timed(lambda: sinkhorn(source, 1 / LAMBDA, memory=STREAM_MEMORY if way == "streamed" else None))
    row = {
        "way": way,
        "mean top probability": round(mean_top(sample_rows(source, 2000).cpu()), 3),
        "seconds": round(seconds, 1),
        "error": round(a.error, 4),
        "converged": a.converged,
        "turns": a.n_iter,
        "passes": a.n_passes,
        "peak GB": round(peak.gigabytes, 2),
    }
    if device == "cuda":
        row["peak GB on the device"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(row))


def main() -> None:
    if len(sys.argv) > 2:
        return solve_once(float(sys.argv[1]), *sys.argv[2:5])
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for way in ("held", "streamed") if device == "cpu" else ("held",):
            for scale in SCALES if way == "held" else STREAMED_SCALES:
                words = [sys.executable, "-m", "bench.assignment.imagenet", str(scale), way, device, folder]
                process = subprocess.run(words, capture_output=True, text=True, check=True)
                rows.append(json.loads(process.stdout.splitlines()[-1]))
                print(rows[-1], flush=True)
    name = "assignment-imagenet" if device == "cpu" else "assignment-imagenet-gpu"
    write(name, {"N": N, "K": K, "D": D, "lambda": LAMBDA, "device": device, "rows": rows})


if __name__ == "__main__":
    main()
