"""Where time and memory of labelling given features go, on planted clusters or on a set of one's own.

The clusters are Gaussians of uneven sizes whose centres come in families, so that some overlap and others do not, and
whose spread falls from direction to direction as that of real features does. The set is written as an .npy file and labelled in a
process of its own, from the file to the finished run folder. Each stage is a function of the package; its seconds are without
those of the stages that it calls. `peak_mb` is the process's (VmHWM), and `over_features_mb` is that less the float32 features.

    python -m bench.features [--items 100000] [--dims 768] [--clusters 100] [--epochs E] [--features FILE.npz] [--save]

`--features` takes a file with the arrays x and y instead; `--save` writes the row to results/features-speed.json. Seconds of the
processor do not depend on what else runs; wall seconds do.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parents[1] / "results" / "features-speed.json"
FAMILY, TOGETHER, SPREAD = 5, 0.8, 0.7  # classes of a family, how alike their centres are, and spread of a class
INTRINSIC, FALL = 64, 0.5  # directions in which classes differ, and exponent by which their variance falls
NOISE = 0.03  # of every column
ROWS = 10_000  # written at a time

METHOD = "selflabel.methods.label.sela_nn"
STAGES = {  # module and function to stage
    ("selflabel.jobs.label", "prepare_for"): "read",
    ("selflabel.jobs.label", "train"): "epochs",
    ("selflabel.jobs.label", "describe"): "describe",
    ("selflabel.jobs.label", "make_report"): "estimate",
    ("selflabel.jobs.label", "write_run"): "write",
    ("selflabel.jobs.label", "fit_seen"): "describe",
    ("selflabel.jobs.report", "nearest"): "neighbours of the run",
    ("selflabel.training.loop", "checkpoint.save"): "checkpoints",
    ("selflabel.training.data", "ResidentData.features"): "features",
    ("selflabel.training.loop", "label_metrics"): "metrics of label turns",
    (f"{METHOD}.method", "SeLaNN.first_labels"): "first labels",
    (f"{METHOD}.method", "SeLaNN.mine_neighbours"): "neighbours",
    (f"{METHOD}.method", "SeLaNN.find_directions"): "directions",
    (f"{METHOD}.first_labels", "kmeans"): "k-means of starts",
    (f"{METHOD}.candidates", "start_labellings"): "starts",
    (f"{METHOD}.candidates", "linkage_labels"): "linkage",
    (f"{METHOD}.candidates", "spectral_labels"): "directions",
    (f"{METHOD}.candidates", "cluster_qr"): "pivoted QR",
    (f"{METHOD}.candidates", "consensus_labellings"): "consensus",
    (f"{METHOD}.candidates", "spectral_directions"): "directions",
    (f"{METHOD}.candidates", "consensus_directions"): "agreement",
    (f"{METHOD}.method", "SeLaNN.numbers_note"): "numbers of clusters",
    (f"{METHOD}.candidates", "best_labelling"): "judge",
    (f"{METHOD}.candidates", "fit_linear_head"): "head to report",
    (f"{METHOD}.method", "SeLaNN.relabel"): "label turns",
    (f"{METHOD}.method", "SeLaNN.posteriors"): "posteriors",
    (f"{METHOD}.method", "SeLaNN.log_smooth"): "smoothing",
    (f"{METHOD}.method", "SeLaNN.smooth"): "smoothing",
    (f"{METHOD}.method", "SeLaNN.solve"): "transport",
    (f"{METHOD}.method", "SeLaNN.judge_heads"): "merits",
    (f"{METHOD}.method", "SeLaNN.proposals"): "proposals",
    (f"{METHOD}.final_labels", "score_head"): "scores of heads",
    (f"{METHOD}.final_labels", "random_walk_ends"): "walks",
    (f"{METHOD}.method", "SeLaNN.final"): "final labels",
}


class Stages:
    """Seconds and the peak of memory by stage; a stage that is called inside another one is counted apart."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])  # processor, wall, peak MB
        self.open: list[str] = ["other"]
        self.last = time.process_time(), time.perf_counter()
        self.peak = 0.0

    def count(self) -> None:
        """Count what has passed since the last call for the stage that is open."""
        now, row = (time.process_time(), time.perf_counter()), self.seconds[self.open[-1]]
        row[0] += now[0] - self.last[0]
        row[1] += now[1] - self.last[1]
        row[2] = max(row[2], peak_mb())
        self.peak, self.last = max(self.peak, row[2]), now
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew

    def timed(self, function: Callable, stage: str) -> Callable:
        @wraps(function)
        def run(*args, **options):
            self.count()
            self.open.append(stage)
            try:
                return function(*args, **options)
            finally:
                self.count()
                self.open.pop()

        return run

    def watch(self) -> None:
        """Replace every function of STAGES by a timed one."""
        for (module, name), stage in STAGES.items():
            owner = importlib.import_module(module)
            *path, leaf = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            setattr(owner, leaf, self.timed(getattr(owner, leaf), stage))


def peak_mb() -> float:
    """The highest resident memory of this process since it was last set back."""
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) / 1024


def write_clusters(folder: Path, n: int, dims: int, clusters: int) -> None:
    """x.npy (n, dims) float32 of planted clusters, and y.npy."""
    rng = np.random.default_rng(0)
    width = min(INTRINSIC, dims)
    scale = np.arange(1, width + 1) ** -FALL
    scale /= np.linalg.norm(scale)
    families = rng.standard_normal((-(-clusters // FAMILY), width)) * scale
    own = rng.standard_normal((clusters, width)) * scale
    centres = TOGETHER * families[np.arange(clusters) // FAMILY] + np.sqrt(1 - TOGETHER**2) * own
    shares = rng.permutation(np.geomspace(1, 1 / 4, clusters))
    y = rng.choice(clusters, n, p=shares / shares.sum())
    spread = SPREAD * rng.uniform(0.7, 1.3, clusters)
    basis = np.linalg.qr(rng.standard_normal((dims, width)))[0].T.astype(np.float32)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (n, dims))
    for start in range(0, n, ROWS):
        rows = y[start : start + ROWS]
        inner = centres[rows] + spread[rows, None] * rng.standard_normal((len(rows), width)) * scale
        x[start : start + ROWS] = inner.astype(np.float32) @ basis + NOISE * rng.standard_normal((len(rows), dims), np.float32)
    x.flush()
    np.save(folder / "y.npy", y)


def measure(folder: Path, clusters: int, epochs: int | None) -> None:
    """Label the features in this process and print what it cost, by stage."""
    from selflabel.base.settings import make_settings
    from selflabel.evaluation.metrics import score
    from selflabel.jobs.label import label

    stages = Stages()
    stages.watch()
    settings = make_settings(source=str(folder / "x.npy"), clusters=clusters, device="cpu", epochs=epochs)
    wall, cpu = time.perf_counter(), time.process_time()
    labelled = label(settings, folder / "run")
    seconds = {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.perf_counter() - wall, 1)}
    stages.count()
    features_mb = np.load(folder / "x.npy", mmap_mode="r").size * 4 / 2**20
    assert labelled.labelling is not None
    scores = score(np.load(folder / "y.npy").astype(str).tolist(), labelled.labelling.labels)
    found = {k: round(float(scores[k]), 4) for k in ("accuracy", "nmi")}
    memory = {"peak_mb": round(stages.peak), "over_features_mb": round(stages.peak - features_mb)}
    by_stage = sorted(stages.seconds.items(), key=lambda pair: -pair[1][0])
    table = {stage: [round(cpu, 1), round(wall, 1), round(mb)] for stage, (cpu, wall, mb) in by_stage}
    print(json.dumps(found | seconds | memory | {"stages": table}))


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        folder, clusters, epochs = sys.argv[2:]
        return measure(Path(folder), int(clusters), int(epochs) or None)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dims", type=int, default=768)
    parser.add_argument("--clusters", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--features", help="an .npz file with the arrays x and y")
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if given.features:
            with np.load(given.features) as arrays:
                np.save(folder / "x.npy", arrays["x"])
                np.save(folder / "y.npy", arrays["y"])
                given.clusters = len(np.unique(arrays["y"]))
        else:
            write_clusters(folder, given.items, given.dims, given.clusters)
        n, dims = np.load(folder / "x.npy", mmap_mode="r").shape
        words = [sys.executable, "-m", "bench.features", "--one", str(folder), str(given.clusters), str(given.epochs)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    row = {"items": n, "dims": dims, "clusters": given.clusters, "epochs": given.epochs or "as planned"}
    row |= json.loads(done.stdout.splitlines()[-1])
    for stage, (cpu, wall, mb) in row["stages"].items():
        print(f"{stage:24} {cpu:8.1f} s {wall:8.1f} s wall {mb:8.0f} MB")
    print(json.dumps({k: v for k, v in row.items() if k != "stages"}))
    if given.save:
        rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        RESULTS.write_text(json.dumps([*rows, row], indent=1) + "\n")


if __name__ == "__main__":
    main()
