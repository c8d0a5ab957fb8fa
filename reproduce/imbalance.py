"""Which method keeps small classes, and how close an unknown K comes: long-tailed subsets of a set of images or features.

    python -m reproduce.imbalance [SET] [--ratio 10] [--seeds 3] [--epochs 20] [--methods a,b]

The k-th largest class keeps ratio^(-k / (K - 1)) of its items. `sela` runs with uniform, Gaussian, Zipf, estimated and relaxed
marginals; sela-nn estimates its own (`auto`), and without K merges its over-clustering heads until merging costs. Beside accuracy
stands the recall of the three smallest classes under the best matching. Writes results/imbalance-SET.json, where methods that
were not asked for keep their rows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from reproduce.common import read_results, summary, write_results
from selflabel.assignment.alignment import contingency, hungarian
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import encode_labels, score
from selflabel.items import open_items
from selflabel.jobs.label import label
from selflabel.methods import BASELINES, METHODS

MASSES = ("uniform", "gaussian", "zipf", "estimated", "relaxed")
SMALLEST = 3


def long_tailed(truth: np.ndarray, ratio: float, seed: int) -> np.ndarray:
    """Rows of a long-tailed subset; which class is large is random, too.

    Example:
        >>> rows = long_tailed(np.repeat([0, 1, 2], 100), 4.0, 0)
        >>> sorted(np.bincount(np.repeat([0, 1, 2], 100)[rows]).tolist())
        [25, 50, 100]
    """
    rng = np.random.default_rng(seed)
    classes, largest = np.unique(truth), np.bincount(truth).min()
    shares = ratio ** -(rng.permutation(len(classes)) / max(1, len(classes) - 1))
    rows = [rng.permutation(np.flatnonzero(truth == c))[: max(1, round(largest * s))] for c, s in zip(classes, shares)]
    return np.sort(np.concatenate(rows))


def small_recall(truth: np.ndarray, labels: np.ndarray, smallest: int = SMALLEST) -> float:
    """The mean recall of the smallest classes under the best one-to-one matching of labels to classes."""
    table = contingency(encode_labels(truth), encode_labels(labels))
    hits = np.zeros(len(table))
    for c, k in zip(*hungarian(table)):
        hits[c] = table[c, k]
    sizes = table.sum(axis=1)
    return float((hits / sizes)[np.argsort(sizes)[:smallest]].mean())


def variants(methods: list[str]) -> dict[str, dict]:
    """Name to settings: each method, sela with every kind of marginals, and sela-nn without K."""
    named: dict[str, dict] = {}
    for m in methods:
        named |= {f"sela, {mass}": {"method": m, "mass": mass} for mass in MASSES} if m == "sela" else {m: {"method": m}}
    if "sela-nn" in methods:
        named |= {
            "sela-nn, uniform": {"method": "sela-nn", "mass": "uniform"},
            "sela-nn, K unknown": {"method": "sela-nn", "clusters": None},
        }
    return named


def label_subset(x: np.ndarray, truth: np.ndarray, seed: int, epochs: int | None, variant: dict) -> dict:
    """A row for the results."""
    started = time.perf_counter()
    epochs = None if variant["method"] in BASELINES else epochs
    settings = {"source": "array", "clusters": len(np.unique(truth)), "seed": seed, "epochs": epochs} | variant
    labels = label(make_settings(**settings), None, data=x).labelling.labels
    scores = score(truth, labels)
    row = {"seed": seed, **{k: scores[k] for k in ("accuracy", "nmi", "n_clusters")}, "small": small_recall(truth, labels)}
    return row | {"seconds": round(time.perf_counter() - started, 1)}


def write(options: argparse.Namespace, n_items: int, rows: dict[str, list[dict]]) -> None:
    """Write the rows so far beside those that other calls wrote for the same data and budget."""
    name = f"imbalance-{options.set}"
    header = {
        "data": f"{options.set}, long-tailed 1 to {options.ratio:g}, {n_items} items",
        "budget": f"{options.epochs} epochs a method" if options.epochs else "each method's own epochs",
    }
    small = {variant: float(np.mean([r["small"] for r in of])) for variant, of in rows.items()}
    methods = {variant: {"summary": summary(of) | {"small": small[variant]}, "rows": of} for variant, of in rows.items()}
    old = read_results(name)
    write_results(name, {**header, "methods": (old["methods"] if header.items() <= old.items() else {}) | methods})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", nargs="?", default="mnist5k")
    parser.add_argument("--ratio", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--methods", default=",".join(m for m in [*METHODS, *BASELINES] if m != "selavi"))
    options = parser.parse_args()
    items = open_items(options.set)
    truth, results = encode_labels(items.truth), {}
    for seed in range(options.seeds):
        rows = long_tailed(truth, options.ratio, seed)
        x = np.ascontiguousarray(items.array[rows])
        for name, variant in variants(options.methods.split(",")).items():
            row = label_subset(x, truth[rows], seed, options.epochs, variant)
            results.setdefault(name, []).append(row)
            print(name, row, flush=True)
        write(options, len(rows), results)


if __name__ == "__main__":
    main()
