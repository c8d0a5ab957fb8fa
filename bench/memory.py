"""Peak memory over the resident data, at three sizes: it grows linearly, by so much for 100,000 items.

Each size runs in a process of its own on random glyph-like pictures of 28 px; the peak is the process's, less that of a run on
1,000 items and less the pictures themselves.

    python -m bench.memory
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np

SIZES = (1_000, 10_000, 20_000, 40_000)


def label_random(n: int) -> None:
    """Label n random pictures for one epoch and print the peak in megabytes."""
    from selflabel.base.settings import make_settings
    from selflabel.jobs.label import label

    rng = np.random.default_rng(0)
    x = np.zeros((n, 28, 28), np.uint8)
    x[:, 8:20, 8:20] = rng.integers(0, 255, (n, 12, 12), dtype=np.uint8)
    label(make_settings(source="array", clusters=10, epochs=2, device="cpu"), None, data=x)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    if len(sys.argv) > 1:
        return label_random(int(sys.argv[1]))
    peaks = []
    for n in SIZES:
        done = subprocess.run([sys.executable, "-m", "bench.memory", str(n)], capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.split()[-1]))
    data = np.array(SIZES) * 28 * 28 / 2**20
    over = np.array(peaks) - peaks[0] - (data - data[0])
    slope, start = np.polyfit(np.array(SIZES[1:]), over[1:], 1)
    fit = slope * np.array(SIZES[1:]) + start
    result = {
        "sizes": SIZES,
        "peak_mb": [round(p) for p in peaks],
        "mb_per_100000_items_over_data": round(slope * 1e5),
        "largest_departure_from_a_line": round(float(np.abs(over[1:] / fit - 1).max()), 3),
    }
    return print(json.dumps(result))


if __name__ == "__main__":
    main()
