"""Labelling and browsing at 10^5, 10^6 and 10^7 rows of features: seconds and peak memory of each stage, and accuracy.

A mixture of Gaussians whose shares go from 1 to 3 is written as float16 shards. `label` runs on them in a
process of its own, and the page of the run is opened in another one, up to the overview and the suggested edits. `anon_mb` is the
highest anonymous memory (RssAnon) in a stage: what is held beside files. `accuracy` is of all rows, `of_sample` that of the rows
that were trained on, as the method labelled them. Seconds of the processor do not depend on what else runs; wall seconds do.

    python -m bench.scale [--rows 100000 1000000] [--clusters 1000] [--folder DIR] [--save]

`--folder` keeps the shards and the runs there; what is there already is not made again. `--save` writes the rows to
results/scale.json, in place of those of the same size.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parents[1] / "results" / "scale.json"
DIMS, SPREAD, LARGEST = 64, 1.25, 3  # spread of a class, whose centres have 1; the largest class in those of the smallest
SHARD_ROWS = 1 << 18
WATCH_S = 0.05


def write_mixture(folder: Path, n: int, clusters: int) -> None:
    """Shards of the mixture, and the class of every row in y.npy beside the folder."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    centres = np.random.default_rng(0).standard_normal((clusters, DIMS)).astype(np.float32)
    shares = np.linspace(1, LARGEST, clusters)
    truth = []
    for number, start in enumerate(range(0, n, SHARD_ROWS)):
        rng, rows = np.random.default_rng([0, number]), min(SHARD_ROWS, n - start)
        y = rng.choice(clusters, rows, p=shares / shares.sum())
        x = centres[y] + np.float32(SPREAD) * rng.standard_normal((rows, DIMS), dtype=np.float32)
        np.save(folder / f"part-{number:05d}.npy", x.astype(np.float16))
        truth.append(y.astype(np.int16))
    np.save(truth_file(folder), np.concatenate(truth))


def truth_file(folder: Path) -> Path:
    """Where the classes of a mixture's rows are."""
    return folder.with_name(f"{folder.name}-y.npy")


def memory_mb(name: str = "RssAnon") -> float:
    """A line of this process's status in megabytes."""
    match = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


class Watch:
    """Seconds and the highest anonymous memory of named stages, one after the other."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self.peak, self.highest, self.ended = 0.0, 0.0, False
        self.last = time.perf_counter(), time.process_time()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.ended:
            self.peak = max(self.peak, memory_mb())
            time.sleep(WATCH_S)

    def stop(self, stage: str) -> None:
        """End a stage; the next one begins."""
        now, peak = (time.perf_counter(), time.process_time()), max(self.peak, memory_mb())
        wall, cpu = (round(b - a, 1) for a, b in zip(self.last, now))
        self.stages[stage] = {"wall_s": wall, "cpu_s": cpu, "anon_mb": round(peak)}
        self.last, self.highest, self.peak = now, max(self.highest, peak), 0.0


@contextmanager
def watched_label(watch: Watch) -> Iterator[dict[str, Any]]:
    """Count the stages of `label` as its own timer does; gives the outcome of the sample."""
    from selflabel.jobs import label as job
    from selflabel.jobs.labelling import Timer

    kept: dict[str, Any] = {}
    stop, label_all = Timer.stop, job.label_all_rows

    def stop_both(self: Any, step: str) -> None:
        stop(self, step)
        watch.stop(step)

    def keep(run: Any, method: Any, prepared: Any, outcome: Any, *rest: Any) -> Any:
        kept["labels"] = outcome.labels[outcome.head].cpu().numpy()
        return label_all(run, method, prepared, outcome, *rest)

    Timer.stop, job.label_all_rows = stop_both, keep  # type: ignore[method-assign, assignment]
    yield kept
    Timer.stop, job.label_all_rows = stop, label_all  # type: ignore[method-assign]


def measure_label(folder: Path, run: Path, clusters: int) -> dict[str, Any]:
    """Label shards in this process."""
    from selflabel.base.sampling import drawn_rows
    from selflabel.base.settings import make_settings
    from selflabel.evaluation.metrics import accuracy
    from selflabel.jobs.label import label

    watch = Watch()
    watch.stop("imports")
    with watched_label(watch) as sample:
        settings = make_settings(source=str(folder), clusters=clusters, device="cpu")
        labelled = label(settings, run, overwrite=True)
    watch.stop("report")
    assert labelled.labelling is not None
    y = np.load(truth_file(folder)).astype(np.int64)
    row = {
        "trained_on": labelled.report.get("n_trained_on", len(y)),
        "accuracy": round(accuracy(y, labelled.labelling.labels.astype(np.int64)), 4),
        "anon_mb": round(watch.highest),
        "wall_s": round(sum(stage["wall_s"] for stage in watch.stages.values()), 1),
        "cpu_s": round(sum(stage["cpu_s"] for stage in watch.stages.values()), 1),
        "neighbours_recall": labelled.report.get("neighbours_recall"),
        "mass_error": labelled.report.get("mass_error"),
        "clusters_found": labelled.report["n_clusters"],
        "stages": watch.stages,
    }
    if sample:
        row["of_sample"] = round(accuracy(y[drawn_rows(len(y), len(sample["labels"]))], sample["labels"].astype(np.int64)), 4)
    return row


def measure_page(run: Path) -> dict[str, Any]:
    """Open the page of a run in this process, up to what the browser asks for first."""
    watch = Watch()
    from selflabel.gallery.responses import json_response
    from selflabel.gallery.server import Page
    from selflabel.gallery.summary import overview
    from selflabel.runs.run import Run

    page = Page(Run.open(run))
    json_response(overview(page.editable, page.editable.state))
    watch.stop("open")
    page.suggestions()
    watch.stop("suggestions")
    return {"stages": watch.stages, "anon_mb": round(watch.highest), "peak_mb": round(memory_mb("VmHWM"))}


def in_a_process(*words: str) -> dict[str, Any]:
    """What this script prints with these words."""
    done = subprocess.run([sys.executable, "-m", "bench.scale", *words], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(place: Path, n: int, clusters: int) -> dict[str, Any]:
    """Make, label and open one size."""
    folder, run = place / f"mixture-{n}", place / f"run-{n}"
    write_mixture(folder, n, clusters)
    row = {"rows": n, "dims": DIMS, "clusters": clusters}
    row |= in_a_process("--label", str(folder), str(run), str(clusters))
    return row | {"page": in_a_process("--page", str(run))}


def save(row: dict[str, Any]) -> None:
    """Put a row into results/scale.json, in place of that of the same size."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    kept = [other for other in rows if (other["rows"], other["clusters"]) != (row["rows"], row["clusters"])]
    RESULTS.write_text(json.dumps(sorted([*kept, row], key=lambda r: r["rows"]), indent=1) + "\n")


def main() -> None:
    if sys.argv[1:2] == ["--label"]:
        return print(json.dumps(measure_label(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
    if sys.argv[1:2] == ["--page"]:
        return print(json.dumps(measure_page(Path(sys.argv[2]))))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for n in given.rows:
            row = measure(given.folder or Path(temporary), n, given.clusters)
            print(json.dumps(row), flush=True)
            if given.save:
                save(row)


if __name__ == "__main__":
    main()
