"""Ten thousand tiny clips, one in a thousand broken: none lost, and memory flat.

Each size is decoded in a process of its own; it prints the number of items, those skipped, and the process's peak memory,
beside the decoded store that it maps from disk.

    python -m bench.clips [most]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.assignment import Peak
from bench.video import RESULTS
from tests.films import bars, tone, write_film

SIZES = (1_000, 3_000, 10_000)
BROKEN_EVERY = 1_000  # clips


def write(folder: Path, n: int) -> None:
    """n clips of .4 s at 32 x 32; a hundred are encoded, the others are copies under names of their own."""
    rng = np.random.default_rng(0)
    encoded = []
    for i in range(100):
        file = write_film(folder / f"{i:06d}.mp4", bars(4, i % 2, rng, (32, 32)), tone(300 + 10 * i, 0.4))
        encoded.append(file.read_bytes())
    for i in range(100, n):
        (folder / f"{i:06d}.mp4").write_bytes(encoded[i % 100] if i % BROKEN_EVERY else b"broken")


def measure(folder: str, cache: str) -> None:
    """Decode a folder in this process and print what came of it."""
    import torch

    from selflabel.jobs.prepare import prepare

    started = time.perf_counter()
    with Peak() as peak:
        items = prepare(folder, torch.device("cpu"), max_modalities=2, encoder="scratch", cache=cache).items
    row = {"labelled": len(items), "skipped": len(items.skipped), "peak MB": round(1024 * peak.gigabytes)}
    print(json.dumps(row | {"seconds": round(time.perf_counter() - started, 1)}))


def main() -> None:
    if len(sys.argv) > 2:
        return measure(*sys.argv[1:3])
    most = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    rows = []
    for n in [n for n in SIZES if n <= most]:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "films"
            folder.mkdir()
            write(folder, n)
            words = [sys.executable, "-m", "bench.clips", str(folder), str(Path(place) / "cache")]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            rows.append({"clips": n} | json.loads(done.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
    (RESULTS / "clips.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
