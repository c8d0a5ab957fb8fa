"""Who keeps the small classes, and how close an unknown K comes: long-tailed subsets of a set of pictures or features.

    python -m reproduce.imbalance [SET] [--ratio 10] [--seeds 3] [--epochs 20] [--methods a,b]

The k-th largest class keeps ratio^(-k / (K - 1)) of its items. `sela` is run with its masses uniform, Gaussian, Zipf, estimated
and relaxed; sela-nn estimates its own (`auto`), and without K merges its over-clustering heads until merging costs. Beside
accuracy stands recall of the three smallest classes, under the best matching. Writes results/imbalance-SET.json, where methods
that were not asked keep their rows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from reproduce.common import read_results, summary, write_results
from selflabel.assignment.alignment import contingency, hungarian
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import codes, score
from selflabel.items import open_items
from selflabel.jobs.label import label
from selflabel.methods import BASELINES, METHODS

MASSES = ("uniform", "gaussian", "zipf", "estimated", "relaxed")
SMALLEST = 3


def long_tailed(truth: np.ndarray, ratio: float, seed: int) -> np.ndarray:
    """Rows of a long-tailed subset: which class is large is drawn, too.

    Example:
        >>> rows = long_tailed(np.repeat([0, 1, 2], 100), 4.0, 0)
        >>> sorted(np.bincount(np.repeat([0, 1, 2], 100)[rows]).tolist())
        [25, 50, 100]
    """
    rng = np.random.default_rng(seed)
    classes, most = np.unique(truth), np.bincount(truth).min()
    shares = ratio ** -(rng.permutation(len(classes)) / max(1, len(classes) - 1))
    picked = [rng.permutation(np.flatnonzero(truth == c))[: max(1, round(most * s))] for c, s in zip(classes, shares)]
    return np.sort(np.concatenate(picked))


def small_recall(truth: np.ndarray, labels: np.ndarray, smallest: int = SMALLEST) -> float:
    """The mean recall of the smallest classes under the best one-to-one matching of labels to classes."""
    table = contingency(codes(truth), codes(labels))
    hits = np.zeros(len(table))
    for c, k in zip(*hungarian(table)):
        hits[c] = table[c, k]
    sizes = table.sum(axis=1)
    return float((hits / sizes)[np.argsort(sizes)[:smallest]].mean())


def ways(methods: list[str]) -> dict[str, dict]:
    """What is run: each method, sela under every mass, and sela-nn without K."""
    made: dict[str, dict] = {}
    for m in methods:
        made |= {f"sela, {mass}": {"method": m, "mass": mass} for mass in MASSES} if m == "sela" else {m: {"method": m}}
    if "sela-nn" in methods:
        made |= {
            "sela-nn, uniform": {"method": "sela-nn", "mass": "uniform"},
            "sela-nn, K unknown": {"method": "sela-nn", "clusters": None},
        }
    return made


def one(x: np.ndarray, truth: np.ndarray, seed: int, epochs: int | None, given: dict) -> dict:
    """Label once; the scores."""
    started = time.perf_counter()
    trained = given["method"] not in BASELINES
    settings = {"source": "array", "clusters": len(np.unique(truth)), "seed": seed, "epochs": epochs if trained else None} | given
    found = label(make_settings(**settings), None, data=x)["labelling"]
    scores = score(truth, found.labels)
    row = {"seed": seed, **{k: scores[k] for k in ("accuracy", "nmi", "n_clusters")}, "small": small_recall(truth, found.labels)}
    return row | {"seconds": round(time.perf_counter() - started, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", nargs="?", default="mnist5k")
    parser.add_argument("--ratio", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--methods", default=",".join(m for m in [*METHODS, *BASELINES] if m != "selavi"))
    asked = parser.parse_args()
    items, name = open_items(asked.set), f"imbalance-{asked.set}"
    truth, found = codes(items.truth), {}
    for seed in range(asked.seeds):
        rows = long_tailed(truth, asked.ratio, seed)
        for way, given in ways(asked.methods.split(",")).items():
            row = one(np.ascontiguousarray(items.array[rows]), truth[rows], seed, asked.epochs, given)
            found.setdefault(way, []).append(row)
            print(way, row, flush=True)
        methods = {
            way: {"summary": summary(r) | {"small": float(np.mean([s["small"] for s in r]))}, "rows": r}
            for way, r in found.items()
        }
        what = {
            "data": f"{asked.set}, long-tailed 1 to {asked.ratio:g}, {len(rows)} items",
            "budget": f"{asked.epochs} epochs a method" if asked.epochs else "each method's own epochs",
        }
        old = read_results(name)
        known = old["methods"] if what.items() <= old.items() else {}
        write_results(name, {**what, "methods": known | methods})


if __name__ == "__main__":
    main()
