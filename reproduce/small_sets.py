"""Twenty small sets (`reproduce.small_data`): sela-nn with its defaults beside k-means, over five seeds.

python -m reproduce.small_sets [NAME ...]

k-means is `--method kmeans`, and scikit-learn's with ten starts on the same features. The results have a set's rows as soon as it
is done; those of other sets are kept.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.common import read_results, with_summary, write_results
from reproduce.small_data import SETS, draw
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import score
from selflabel.jobs.label import Labelled, label

SEEDS = (0, 1, 2, 3, 4)
RESULTS = "small_sets"


def run(source: str | np.ndarray, **settings: Any) -> Labelled:
    is_array = isinstance(source, np.ndarray)
    given = {"source": "array" if is_array else source, "device": "cpu", "encoder": "scratch"} | settings
    return label(make_settings(**given), None, data=source if is_array else None)


def row(truth: np.ndarray, labels: np.ndarray, seed: int, started: float) -> dict:
    """A row of the results."""
    scores = score(truth.tolist(), labels)
    seconds = round(time.perf_counter() - started, 1)
    return {"seed": seed, "accuracy": round(scores["accuracy"], 4), "nmi": round(scores["nmi"], 4), "seconds": seconds}  # type: ignore[arg-type]


def rows_of(source: str | np.ndarray, truth: np.ndarray, K: int) -> dict[str, list[dict]]:
    """Rows of each method over the seeds, K given."""
    from sklearn.cluster import KMeans

    rows: dict[str, list[dict]] = {"sela-nn": [], "kmeans": [], "k-means of scikit-learn": []}
    for seed in SEEDS:
        for method in ("sela-nn", "kmeans"):
            started = time.perf_counter()
            found = run(source, clusters=K, method=method, seed=seed).labelling
            assert found is not None
            rows[method].append(row(truth, found.labels, seed, started))
        started = time.perf_counter()
        labels = KMeans(K, n_init=10, random_state=seed).fit_predict(found.features)  # those of --method kmeans
        rows["k-means of scikit-learn"].append(row(truth, labels, seed, started))
    return rows


def measure(name: str) -> dict:
    """The entry of a set in the results."""
    with tempfile.TemporaryDirectory() as folder:
        source, truth = draw(name, Path(folder))
        K = len(np.unique(truth))
        methods = {method: with_summary(rows) for method, rows in rows_of(source, truth, K).items()}
        # K is found before training, so one epoch says which
        found = [run(source, epochs=1, seed=seed)["n_clusters"] for seed in SEEDS[:2]]
    of = SETS[name]
    return {
        "data": of.what,
        "chosen_on": of.chosen_on,
        "items": len(truth),
        "classes": K,
        "found_classes": found,
        "methods": methods,
    }


def main() -> None:
    for name in sys.argv[1:] or SETS:
        entry = measure(name)
        sets = read_results(RESULTS).get("sets", {}) | {name: entry}
        write_results(RESULTS, {"sets": {n: sets[n] for n in SETS if n in sets}})
        shown = {method: [r["accuracy"] for r in of["rows"]] for method, of in entry["methods"].items()}
        print(name, shown, entry["found_classes"], f"{entry['methods']['sela-nn']['rows'][0]['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
