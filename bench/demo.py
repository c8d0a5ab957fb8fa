"""The demo, README's first command, in processes of their own: accuracy, seconds and seconds of the processor by seed.

    python -m bench.demo [--seeds 5]

Writes results/demo.json. Processor seconds are of all threads, and say more than seconds where other work shares the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reproduce.common import write_results


def measured_demo(seed: int) -> dict:
    """One demo: its seed, accuracy, seconds by step, and seconds and processor seconds of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "selflabel.cli", "demo", "--json", "--seed", str(seed), "--out", str(Path(folder, "demo"))]
        began, before = time.perf_counter(), os.times()
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        after, seconds = os.times(), time.perf_counter() - began
    report = json.loads(done.stdout.splitlines()[-1])
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "seed": seed,
        "accuracy": round(report["score"]["accuracy"], 4),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1),
        "steps": report["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    rows = []
    for seed in range(parser.parse_args().seeds):
        rows.append(measured_demo(seed))
        print(rows[-1], flush=True)
    medians = {key: statistics.median(row[key] for row in rows) for key in ("accuracy", "seconds", "cpu_seconds")}
    write_results("demo", {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "median": medians, "rows": rows})


if __name__ == "__main__":
    main()
