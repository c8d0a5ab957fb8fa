"""Streaming the maps of an encoder to a run folder: the anonymous memory of the process over time, and the file's size.

An encoder of one layer makes a map of 384 x 16 x 16 of every picture of 32 px. The maps are written as bytes, a block at a time;
as float32 in memory they would take 39 GB. `RssAnon` of /proc/self/status is what a process holds that is no file.

    python -m bench.maps [items] [folder]
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.jobs.maps import stream_maps
from selflabel.runs.maps import ARRAY, FOLDER, read_maps
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.stored import StoredImages

RESULTS = Path(__file__).parents[1] / "results" / "maps.json"
ITEMS, CHANNELS, SIDE = 100_000, 384, 16
EVERY_S = 0.5
SETTLED = 0.02  # share of the file after which the memory should stay as it is


class Patches(nn.Module):
    """Features of patches of 2 px."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = CHANNELS
        self.patches = nn.Conv2d(1, CHANNELS, 2, stride=2)

    def map(self, x: Tensor) -> Tensor:
        return self.patches(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x).mean(dim=(2, 3))


def rss_anon_mb() -> float:
    """Anonymous memory of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


class Watch(threading.Thread):
    """Notes (seconds, RssAnon in MB) until it is ended."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, float]] = []
        self.is_over = threading.Event()

    def run(self) -> None:
        began = time.perf_counter()
        while not self.is_over.wait(EVERY_S):
            self.seen.append((time.perf_counter() - began, rss_anon_mb()))


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS
    place = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        size, room = n * CHANNELS * SIDE**2, shutil.disk_usage(folder).free
        if room < 1.2 * size:
            sys.exit(f"{folder}: has {room / 1e9:.1f} GB free, and {n:,} maps take {size / 1e9:.1f}.")
        rng = np.random.default_rng(0)
        pictures = torch.from_numpy(rng.integers(0, 255, (n, 1, 2 * SIDE, 2 * SIDE), dtype=np.uint8))
        data = ResidentData({"image": StoredImages(pictures, "glyph", px=2 * SIDE)}, torch.device("cpu"), Ranks(), 0)
        torch.manual_seed(0)
        data.encoders = nn.ModuleDict({"image": Patches()})
        watch = Watch()
        watch.start()
        began = time.perf_counter()
        info = stream_maps(Path(folder), data, "image")
        seconds = time.perf_counter() - began
        watch.is_over.set()
        watch.join()
        maps = read_maps(Path(folder), n)
        assert maps is not None
        rows = np.linspace(0, n - 1, 50).astype(int)
        expected = data.block(torch.from_numpy(rows), maps=True).maps["image"].numpy()
        steps = np.abs(maps.values(rows) - expected) / info.columns()[1]
        mb = [m for s, m in watch.seen if s > SETTLED * seconds]
        result = {
            "items": n,
            "map": [CHANNELS, SIDE, SIDE],
            "file_gb": round((Path(folder) / FOLDER / ARRAY).stat().st_size / 1e9, 2),
            "float32_gb": round(4 * size / 1e9, 1),
            "seconds": round(seconds, 1),
            "rss_anon_mb": {"lowest": round(min(mb)), "highest": round(max(mb)), "pictures": round(pictures.nbytes / 2**20)},
            "rss_anon_mb_by_tenth": [round(float(np.median(part))) for part in np.array_split(np.array(mb), 10)],
            "median_of_largest_errors_in_steps": round(float(np.median(steps.max(axis=(1, 2, 3)))), 3),
            "clipped": info.clipped,
            "machine": {"cpu": platform.processor() or platform.machine(), "threads": torch.get_num_threads()},
            "date": time.strftime("%Y-%m-%d"),
        }
    print(json.dumps(result))
    if n == ITEMS:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
