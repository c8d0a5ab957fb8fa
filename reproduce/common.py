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
SCORES = ("accuracy", "nmi", "ari", "mean_entropy", "mean_max_purity", "n_clusters")


def data_folder() -> Path:
    """The folder of real data sets, from SELFLABEL_DATA."""
    packs = os.environ.get("SELFLABEL_DATA")
    if not packs or not Path(packs, "unpack.py").is_file():
        raise SystemExit("set SELFLABEL_DATA to the folder of real data sets, which has an unpack.py")
    return Path(packs)


def unpack_files(name: str, split: str = "all", limit: int | None = None) -> Path:
    """A real data set as a folder with the files in items/, and truth.csv beside it."""
    out = Path(tempfile.gettempdir()) / "selflabel-data" / f"{name}-{split}-{limit}"
    if not (out / "truth.csv").exists():
        command = [sys.executable, str(data_folder() / "unpack.py"), name, str(out), "--split", split]
        subprocess.run(command + (["--limit", str(limit)] if limit else []), check=True)
    return out


def unpack(name: str, split: str = "all", limit: int | None = None) -> tuple[Path, dict[str, str]]:
    """A real data set as a folder of files, and its truth, from the packs in SELFLABEL_DATA."""
    out = unpack_files(name, split, limit)
    return out / "items", read_truth(out / "truth.csv")


def with_truth(name: str, limit: int | None = None) -> str:
    """The source as `compare` takes it: a manifest with the truth of every path, unless the source carries it."""
    if name in EMBEDDED or Path(name).exists():
        return name
    items, truth = unpack(name, limit=limit)
    manifest = items.parent / "manifest.csv"
    manifest.write_text(csv_text(["path", "truth"], [(str(items / p), t) for p, t in truth.items()]))
    return str(manifest)


def label_and_score(source, truth: dict[str, str] | None, **settings) -> dict:
    """Label once into a temporary run folder.

    Args:
        source: what `label` takes.
        truth: path to class; None where the source carries it.
        settings: of the run.

    Returns:
        A row for the results: scores, label-free indicators and seconds.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = label(make_settings(source=str(source), **{"encoder": "scratch"} | settings), Path(folder) / "run")
        run = Run.open(Path(folder) / "run")
        table = run.labels
        known = truth or run.truth
        classes = [known[p] for p in table["path"].to_pylist()] if known else []
        scores = score(classes, table["label"].to_numpy()) if known else {}
        by_modality = {m: score_present(classes, labels) for m, labels in run.labels_by_modality.items()}
        epochs = [json.loads(line) for line in (Path(folder) / "run/metrics.jsonl").read_text().splitlines()]
    seconds = time.perf_counter() - started
    print(settings, {k: round(v, 4) for k, v in scores.items() if isinstance(v, float)}, f"{seconds:.0f} s", flush=True)
    return {
        "seed": settings.get("seed", 0),
        **{k: scores.get(k) for k in SCORES},
        "seconds": round(seconds, 1),
        "seconds_train": report["seconds"]["train"],
        "items_per_s": report["items_per_s"],
        "signs": report["signs"],
        "estimated_accuracy": report["estimated_accuracy"],
        "mass": report["mass"],
        "changed": [epoch.get("changed") for epoch in epochs],
        **({"predicted from one modality alone": by_modality} if by_modality else {}),
    }


def score_present(truth: list[str], labels: np.ndarray) -> dict:
    """Scores on the items that have the modality, whose label is not -1."""
    rows = np.flatnonzero(labels >= 0)
    scores = score([truth[i] for i in rows], labels[rows])
    return {k: scores[k] for k in ("accuracy", "nmi")}


def kmeans_rows(x: np.ndarray, truth, k: int, seeds) -> list[dict]:
    """Rows of scikit-learn's k-means, ten starts, on (N, D) features."""
    from sklearn.cluster import KMeans

    rows = []
    for seed in seeds:
        started = time.perf_counter()
        scores = score(truth, KMeans(k, n_init=10, random_state=seed).fit_predict(x))
        seconds = round(time.perf_counter() - started, 1)
        rows.append({"seed": seed, "accuracy": scores["accuracy"], "nmi": scores["nmi"], "seconds": seconds})
    return rows


def summary(rows: list[dict]) -> dict:
    """Median, mean, standard deviation and worst of accuracy and NMI, and the median seconds."""
    result: dict = {"seeds": [r["seed"] for r in rows]}
    for name in ("accuracy", "nmi"):
        values = [r[name] for r in rows]
        result[name] = {
            "median": round(float(np.median(values)), 4),
            "mean": round(float(np.mean(values)), 4),
            "sd": round(float(np.std(values)), 4),
            "worst": round(float(np.min(values)), 4),
        }
    result["seconds_median"] = float(np.median([r["seconds"] for r in rows]))
    return result


def with_summary(rows: list[dict]) -> dict:
    """A method's entry in a results file."""
    return {"summary": summary(rows), "rows": rows}


def read_results(name: str) -> dict:
    """The content of results/NAME.json; empty where there is none yet."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def write_results(name: str, content: dict) -> None:
    """Write results/NAME.json with date, commit and machine."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    import torch

    machine = f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    if torch.cuda.is_available():
        machine += f", {torch.cuda.get_device_name()}"
    head = {"date": str(date.today()), "commit": commit, "machine": machine}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(head | content, indent=1) + "\n")
    print(f"results/{name}.json written")
