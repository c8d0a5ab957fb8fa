"""What every reproduce script does: label with several seeds through the library, score, and write results/NAME.json."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import score
from selflabel.items import EMBEDDED
from selflabel.jobs.label import label
from selflabel.runs.run import Run, csv_text, read_truth

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"


def unpacked(name: str, split: str = "all", limit: int | None = None) -> tuple[Path, dict[str, str]]:
    """A real data set as a plain folder of files and its truth, from the packs in SELFLABEL_DATA."""
    packs = os.environ.get("SELFLABEL_DATA")
    if not packs or not Path(packs, "unpack.py").is_file():
        raise SystemExit("set SELFLABEL_DATA to the folder of real data sets, which has an unpack.py")
    out = Path(tempfile.gettempdir()) / "selflabel-data" / f"{name}-{split}-{limit}"
    if not (out / "truth.csv").exists():
        words = [sys.executable, str(Path(packs) / "unpack.py"), name, str(out), "--split", split]
        subprocess.run(words + (["--limit", str(limit)] if limit else []), check=True)
    return out / "items", read_truth(out / "truth.csv")


def with_truth(name: str, limit: int | None = None) -> str:
    """The source as `compare` takes it: its truth beside every path."""
    if name in EMBEDDED or Path(name).exists():
        return name
    items, truth = unpacked(name, limit=limit)
    manifest = items.parent / "manifest.csv"
    manifest.write_text(csv_text(["path", "truth"], [(str(items / p), t) for p, t in truth.items()]))
    return str(manifest)


def measured(source, truth: dict[str, str] | None, **given) -> dict:
    """Label once into a temporary run folder; the scores, the report's signs, and the seconds."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = label(make_settings(source=str(source), **given), Path(folder) / "run")
        run = Run.open(Path(folder) / "run")
        table = run.labels
        known = truth or run.truth
        real = [known[p] for p in table["path"].to_pylist()] if known else []
        found = score(real, table["label"].to_numpy()) if known else {}
        by_itself = {m: alone_scores(real, labels) for m, labels in run.alone.items()}
        lines = [json.loads(x) for x in (Path(folder) / "run/metrics.jsonl").read_text().splitlines()]
    print(
        given,
        {k: round(v, 4) for k, v in found.items() if isinstance(v, float)},
        f"{time.perf_counter() - started:.0f} s",
        flush=True,
    )
    return {
        "seed": given.get("seed", 0),
        **{k: found.get(k) for k in ("accuracy", "nmi", "ari", "mean_entropy", "mean_max_purity", "n_clusters")},
        "seconds": round(time.perf_counter() - started, 1),
        "seconds_train": report["seconds"]["train"],
        "items_per_s": report["items_per_s"],
        "signs": report["signs"],
        "estimated_accuracy": report["estimated_accuracy"],
        "mass": report["mass"],
        "changed": [line.get("changed") for line in lines],
        **({"predicted from one modality alone": by_itself} if by_itself else {}),
    }


def alone_scores(truth: list[str], labels: np.ndarray) -> dict:
    """Scores on the items that have the modality."""
    has = np.flatnonzero(labels >= 0)
    found = score([truth[i] for i in has], labels[has])
    return {k: found[k] for k in ("accuracy", "nmi")}


def kmeans_rows(x: np.ndarray, truth, k: int, seeds) -> list[dict]:
    """scikit-learn's k-means, ten starts, on the same rows."""
    from sklearn.cluster import KMeans

    rows = []
    for seed in seeds:
        started = time.perf_counter()
        found = score(truth, KMeans(k, n_init=10, random_state=seed).fit_predict(x))
        rows.append(
            {
                "seed": seed,
                "accuracy": found["accuracy"],
                "nmi": found["nmi"],
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
    return rows


def summary(rows: list[dict]) -> dict:
    """Median, mean, spread and worst of accuracy and NMI, and the median seconds."""
    made: dict = {"seeds": [r["seed"] for r in rows]}
    for name in ("accuracy", "nmi"):
        values = [r[name] for r in rows]
        made[name] = {
            "median": round(float(np.median(values)), 4),
            "mean": round(float(np.mean(values)), 4),
            "sd": round(float(np.std(values)), 4),
            "worst": round(float(np.min(values)), 4),
        }
    made["seconds_median"] = float(np.median([r["seconds"] for r in rows]))
    return made


def read_results(name: str) -> dict:
    """What results/NAME.json holds; empty where there is none yet."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def write_results(name: str, content: dict) -> None:
    """results/NAME.json with date, commit and machine."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    import torch

    machine = f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    head = {"date": str(date.today()), "commit": commit, "machine": machine}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(head | content, indent=1) + "\n")
    print(f"results/{name}.json written")
