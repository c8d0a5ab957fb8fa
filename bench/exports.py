"""Every format over a hundred thousand and a million items: seconds, and the memory, which hardly grows with the items.

The run is made up over 5,000 real files (MNIST-5k as PNG), each of them many items. Files are hard-linked where a format can.
Each export runs in a process of its own, whose peak is reported. `bytes_an_item` is what the peak grows by from the one size to
the other.

    python -m bench.exports [format ...]
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIZES = (100_000, 1_000_000)
CLUSTERS, DIMENSIONS = 100, 16


def build(folder: Path, source: Path, n: int) -> None:
    """A finished run of n items over the files of `source`."""
    from selflabel.runs.run import Run
    from selflabel.runs.writing import Labelling, write_labelling, write_report, write_start

    rng = np.random.default_rng(0)
    files = sorted(p.relative_to(source).as_posix() for p in source.rglob("*.png"))
    labels = rng.integers(0, CLUSTERS, n).astype(np.int32)
    top = (labels[:, None] + np.arange(5)) % CLUSTERS
    sure = rng.beta(8, 1, n).astype(np.float32)
    probs = np.stack([sure, *((1 - sure) / 8 for _ in range(4))], axis=1)
    features = rng.normal(size=(n, DIMENSIONS)).astype(np.float16)
    run = Run(folder)
    write_start(run.folder, {"settings": {"source": str(source)}, "worked_out": {"image": {"kind": "glyph"}}})
    paths = [files[i % len(files)] for i in range(n)]
    write_labelling(run.folder, Labelling(paths, labels, top, probs, features, rng.integers(0, n, (n, 10)), [], None))
    write_report(run.folder, {"n_items": n})


def write_files(source: Path) -> None:
    from PIL import Image

    from selflabel.items import mnist5k

    for i, pixels in enumerate(mnist5k().array):
        file = source / f"{i % 10}" / f"{i:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


def one(run: str, name: str, out: str) -> None:
    """Export once and print seconds and the peak in megabytes."""
    from selflabel.exports import EXPORTS, export
    from selflabel.runs.run import Run

    started = time.perf_counter()
    done = export(Run.open(run), name, Path(out), how="hard" if EXPORTS[name].can_link else "copy")
    seconds = time.perf_counter() - started
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps({"items": done.n_items, "seconds": round(seconds, 1), "peak_mb": round(peak)}))


def main(names: list[str]) -> None:
    from selflabel.exports import EXPORTS

    with tempfile.TemporaryDirectory() as place:
        write_files(Path(place) / "source")
        for n in SIZES:
            build(Path(place) / f"run{n}", Path(place) / "source", n)
        for name in names or EXPORTS:
            found = [measured(Path(place), n, name) for n in SIZES]
            grown = (found[1]["peak_mb"] - found[0]["peak_mb"]) * 2**20 / (found[1]["items"] - found[0]["items"])
            print(json.dumps({"format": name, "at": found, "bytes_an_item": round(grown)}), flush=True)


def measured(place: Path, n: int, name: str) -> dict:
    words = [sys.executable, "-m", "bench.exports", "--one", str(place / f"run{n}"), name, str(place / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    shutil.rmtree(place / "out") if (place / "out").is_dir() else (place / "out").unlink()
    return json.loads(done.stdout)


if __name__ == "__main__":
    one(*sys.argv[2:]) if sys.argv[1:2] == ["--one"] else main(sys.argv[1:])
