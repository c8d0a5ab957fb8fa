"""Every format over a hundred thousand and a million items: seconds, and the memory, which hardly grows with the items.

The run is made up over 5,000 real files (MNIST-5k as PNG), each of them many items. Files are hard-linked where a format can.
Each export runs in a process of its own, whose peak is reported. `bytes_an_item` is what the peak grows by from the one size to
the other.

Boxes are measured by themselves: 20,000 and 100,000 in 1,000 photos of 640 x 480 pixels, in no order, each fifth with a mask.

    python -m bench.exports [format ...]
    python -m bench.exports --boxes [format ...]
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
BOX_SIZES = (20_000, 100_000)
PHOTOS, PHOTO = 1_000, (640, 480)  # width and height in pixels
CLUSTERS, DIMENSIONS = 100, 16


def build(folder: Path, source: Path, n: int) -> None:
    """A finished run of n items over the files of `source`."""
    from selflabel.runs.origin import Origin, sign
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
    sign(run.folder, Origin((str(source),), False))
    paths = [files[i % len(files)] for i in range(n)]
    write_labelling(run.folder, Labelling(paths, labels, top, probs, features, rng.integers(0, n, (n, 10)), [], None))
    write_report(run.folder, {"n_items": n})


def build_boxes(folder: Path, source: Path, n: int) -> None:
    """A finished run of n boxes in the photos of `source`, in no order."""
    from selflabel.base.rle import encode
    from selflabel.items import Piece, Pieces, open_items
    from selflabel.runs.opening import record_source
    from selflabel.runs.run import Run
    from selflabel.runs.writing import Labelling, write_labelling, write_report, write_start

    rng = np.random.default_rng(0)
    items = open_items(str(source)).take(rng.integers(0, PHOTOS, n).tolist())
    corners = np.sort(rng.uniform(0, 1, (n, 2, 2)), axis=1) * PHOTO
    boxes = np.concatenate([corners[:, 0], np.minimum(corners[:, 1] + 1, PHOTO)], axis=1)
    rows, columns = np.ogrid[: PHOTO[1], : PHOTO[0]]
    masks = [encode(np.hypot(rows - y, columns - x) < 60) for x, y in rng.uniform(60, 400, (100, 2))]
    pieces = [Piece(box=tuple(box), size=PHOTO, mask=None if i % 5 else masks[i % 100]) for i, box in enumerate(boxes.tolist())]
    labels = rng.integers(0, CLUSTERS, n).astype(np.int32)
    paths, given = items.paths, Pieces.of(pieces)
    sections = {"settings": {"source": str(source)}, "worked_out": {"image": {"kind": "photo"}}}
    run = Run(folder)
    write_start(run.folder, sections, paths=paths, pieces=given)
    record_source(run.folder, items, str(source))
    top, sure, features = labels[:, None], np.full((n, 1), 0.9), np.zeros((n, 2))
    write_labelling(run.folder, Labelling(paths, labels, top, sure, features, np.zeros((n, 10)), [], None, pieces=given))
    write_report(run.folder, {"n_items": n})


def write_photos(source: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    source.mkdir()
    for i in range(PHOTOS):
        coarse = Image.fromarray(rng.integers(0, 255, (PHOTO[1] // 16, PHOTO[0] // 16, 3)).astype(np.uint8))
        coarse.resize(PHOTO, Image.Resampling.BILINEAR).save(source / f"{i:04d}.jpg", quality=90)


def write_files(source: Path) -> None:
    from PIL import Image

    from selflabel.items import mnist5k

    for i, pixels in enumerate(mnist5k().array):
        file = source / f"{i % 10}" / f"{i:04d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


def one(run: str, name: str, out: str) -> None:
    """Export once and print seconds, seconds of one core and the peak in megabytes."""
    from selflabel.exports import EXPORTS, export
    from selflabel.runs.run import Run

    started, worked = time.perf_counter(), time.process_time()
    opened, export_format = Run.open(run), EXPORTS[name]
    can_link = export_format.can_link and not (export_format.cuts and opened.pieces is not None)
    done = export(opened, name, Path(out), how="hard" if can_link else "copy")
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    numbers = {"items": done.n_items, "seconds": round(seconds, 1), "core_seconds": round(worked, 1), "peak_mb": round(peak)}
    print(json.dumps(numbers))


def main(names: list[str]) -> None:
    from selflabel.exports import EXPORTS, fitting_formats

    with_boxes = names[:1] == ["--boxes"]
    able = [name for name in EXPORTS if EXPORTS[name].needs_source] if with_boxes else fitting_formats("image", None)
    sizes, write, make = (BOX_SIZES, write_photos, build_boxes) if with_boxes else (SIZES, write_files, build)
    with tempfile.TemporaryDirectory() as place:
        write(Path(place) / "source")
        for n in sizes:
            make(Path(place) / f"run{n}", Path(place) / "source", n)
        for name in names[with_boxes:] or [name for name in able if "image" in EXPORTS[name].kinds]:
            found = [measured(Path(place), n, name) for n in sizes]
            grown = (found[1]["peak_mb"] - found[0]["peak_mb"]) * 2**20 / (found[1]["items"] - found[0]["items"])
            print(json.dumps({"format": name, "at": found, "bytes_an_item": round(grown)}), flush=True)


def measured(place: Path, n: int, name: str) -> dict:
    words = [sys.executable, "-m", "bench.exports", "--one", str(place / f"run{n}"), name, str(place / "out")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    shutil.rmtree(place / "out") if (place / "out").is_dir() else (place / "out").unlink()
    return json.loads(done.stdout)


if __name__ == "__main__":
    one(*sys.argv[2:]) if sys.argv[1:2] == ["--one"] else main(sys.argv[1:])
