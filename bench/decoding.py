"""What it costs to decode in processes that can be killed: this checkout beside an older one, in turns, on the same files.

Three sets are made: small JPEGs, clips, and a few small pictures, where starting a process counts most. Each measurement is a
process of its own that inspects and decodes a set into an empty cache, with the cores that it may use; the figures are medians.

    python -m bench.decoding OTHER_CHECKOUT [repeats]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from bench.video import RESULTS
from selflabel.base.container import usable_cores
from tests.films import bars, tone, write_film

N_PICTURES, N_CLIPS, N_FEW = 6_000, 120, 60
HERE = Path(__file__).parents[1]

MEASURE = """
import json, sys, time
from pathlib import Path
from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.look import inspect_items
from selflabel.items import open_items

if __name__ == "__main__":
    folder, cache, kind, shape = *sys.argv[1:4], json.loads(sys.argv[4])
    items = open_items(folder)
    began = time.perf_counter()
    inspect_items(items, "video" if kind == "clip" else "image")
    looked = time.perf_counter()
    decoded = decoded_items(items.blobs["video" if kind == "clip" else "image"], DecodedFormat(kind, tuple(shape)), Path(cache))
    assert decoded.n_decoded == len(items) and not decoded.errors
    print(json.dumps({"inspecting": looked - began, "decoding": time.perf_counter() - looked}))
"""


def write_pictures(folder: Path, n: int, px: int) -> Path:
    """n JPEGs of noise, smoothed."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(n):
        small = Image.fromarray(rng.integers(0, 255, (px // 8, px // 8, 3)).astype(np.uint8))
        small.resize((px, px)).save(folder / f"{i:05d}.jpg", quality=90)
    return folder


def write_clips(folder: Path, n: int) -> Path:
    """n clips of two seconds, with sound."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(n):
        write_film(folder / f"{i:03d}.mp4", bars(20, i % 2, rng, (160, 120)), tone(300 + i, 2.0))
    return folder


def measure(checkout: Path, folder: Path, kind: str, shape: tuple[int, ...]) -> dict[str, float]:
    """Seconds of one run of a checkout."""
    with tempfile.TemporaryDirectory() as cache:
        words = [sys.executable, "-c", MEASURE, str(folder), cache, kind, json.dumps(shape)]
        environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cache)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def compare(other: Path, folder: Path, kind: str, shape: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Medians of both checkouts, and of the ratio of their decode rates, over runs in turns."""
    pairs = [(measure(HERE, folder, kind, shape), measure(other, folder, kind, shape)) for _ in range(repeats + 1)][1:]
    row = {"items": len(list(folder.iterdir()))}
    for step in ("inspecting", "decoding"):
        ours, theirs = ([run[step] for run in runs] for runs in zip(*pairs))
        row |= {
            f"{step} seconds": round(statistics.median(ours), 3),
            f"{step} seconds before": round(statistics.median(theirs), 3),
        }
    ratio = statistics.median(theirs["decoding"] / ours["decoding"] for ours, theirs in pairs)
    return row | {"decode rate over before": round(ratio, 3)}


def main() -> None:
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    other, repeats = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as place:
        sets = {
            "small JPEGs": (write_pictures(Path(place) / "pictures", N_PICTURES, 96), "image", (3, 64, 64)),
            "clips": (write_clips(Path(place) / "clips", N_CLIPS), "clip", (16, 3, 64, 64)),
            "a few pictures": (write_pictures(Path(place) / "few", N_FEW, 96), "image", (3, 64, 64)),
        }
        content = {name: compare(other, *given, repeats) for name, given in sets.items()}
    content = {"cores": usable_cores(), "repeats": repeats} | content
    print(json.dumps(content, indent=1))
    (RESULTS / "decoding.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
