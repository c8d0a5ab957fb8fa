"""Every method and baseline on the suite of given features, with K given and, where a method finds K itself, without it.

    SELFLABEL_DATA=... python -m reproduce.features [--sets a,b] [--half development] [--methods a,b] [--seeds 0-2]
    python -m reproduce.features --table        # prints the tables and the checks

Each run (set, method, seed) is written to results/features-HALF.json as soon as it ends, and is not repeated unless `--again` is
given. Truth is used for scoring only. Seconds are of the processor, one thread.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reproduce.common import ROOT, read_results, write_results
from reproduce.feature_numbers import number_by_density, number_by_eigengap
from reproduce.feature_sets import JUNK, SETS, load
from reproduce.feature_tables import print_tables
from reproduce.field import parse_seeds
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import score
from selflabel.jobs.label import label
from selflabel.methods import BASELINES, METHODS

LARGE = 10_000  # rows from which on there are three seeds, and no runs of methods that compare all pairs or train for long
SCORES = ("accuracy", "macro_accuracy", "nmi", "ari")

# Name in the tables to settings. Those that draw nothing run once; quadratic and slow ones only on sets that are not large.
VARIANTS: dict[str, dict[str, Any]] = {
    "sela-nn": {},
    "sela-nn, uniform": {"method": "sela-nn", "mass": "uniform"},
    "sela-nn, K unknown": {"method": "sela-nn", "clusters": None},
    **{name: {} for name in [*METHODS, *BASELINES] if name not in ("sela-nn", "agglomerative", "spectral")},
    "agglomerative, average": {"method": "agglomerative", "options": {"linkage": "average"}},
    "agglomerative, Ward": {"method": "agglomerative", "options": {"linkage": "ward"}},
    "spectral, 10 neighbours": {"method": "spectral", "options": {"neighbours": 10}},
    "spectral, 20 neighbours": {"method": "spectral", "options": {"neighbours": 20}},
}
FIXED = ("agglomerative", "spectral", "hdbscan")
QUADRATIC = ("agglomerative", "hdbscan")
QUICK = ("sela-nn", *BASELINES)


def method_of(variant: str) -> str:
    return str(VARIANTS[variant].get("method", variant))


def seeds_of(variant: str, n: int) -> range:
    """The seeds of a variant on n rows; empty where it does not run."""
    method = method_of(variant)
    if n > LARGE and (method in QUADRATIC or method not in QUICK):
        return range(0)
    return range(1 if method in FIXED else 3 if n > LARGE else 5)


def run(x: np.ndarray, y: np.ndarray, variant: str, seed: int) -> dict[str, Any]:
    """A row for the results: scores of the rows that are not junk, or why it failed."""
    known = y != JUNK
    settings = {"source": "array", "clusters": len(np.unique(y[known])), "method": variant, "device": "cpu", "seed": seed}
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        labelled = label(make_settings(**settings | VARIANTS[variant]), None, data=x)
    except Exception as error:  # a method that fails is a row of the results, and the others go on
        return {"seed": seed, "failed": f"{type(error).__name__}: {error}"[:300]}
    seconds = {"seconds": round(time.process_time() - cpu, 1), "seconds_wall": round(time.perf_counter() - wall, 1)}
    assert labelled.labelling is not None
    labels, report = labelled.labelling.labels, labelled.report
    scores = {k: v for k, v in score(y[known], labels[known]).items() if k in SCORES}
    signs = {k: report.get(k) for k in ("signs", "estimated_accuracy", "no_estimate")}
    found = {"labels": len(np.unique(labels)), "K": report["n_clusters"]}
    return {"seed": seed, **{k: round(float(v), 4) for k, v in scores.items() if v is not None}, **found, **seconds, **signs}


def numbers(x: np.ndarray) -> dict[str, int]:
    """The numbers of clusters that other ways find in the same features."""
    return {"HDBSCAN on UMAP": number_by_density(x), "largest eigengap": number_by_eigengap(x)}


class Results:
    """results/features-HALF.json, written after each run."""

    def __init__(self, half: str):
        self.name = f"features-{half}"
        self.sets: dict[str, dict[str, Any]] = read_results(self.name).get("sets", {})
        self.commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()

    def of(self, name: str, y: np.ndarray) -> dict[str, Any]:
        """What is known of a set."""
        head = {"what": SETS[name].what, "uneven": SETS[name].uneven, "rows": len(y), "classes": len(np.unique(y[y != JUNK]))}
        self.sets[name] = self.sets.get(name, {"methods": {}}) | head
        return self.sets[name]

    def refresh(self, name: str) -> None:
        """Take in what other processes wrote in the meantime."""
        head = {key: value for key, value in self.sets[name].items() if key != "methods"}
        self.sets = read_results(self.name).get("sets", {})
        self.sets[name] = self.sets.get(name, {"methods": {}}) | head

    def add(self, name: str, variant: str, row: dict[str, Any]) -> None:
        """Put a row in place of that of the same seed."""
        self.refresh(name)
        rows = [r for r in self.sets[name]["methods"].get(variant, []) if r["seed"] != row["seed"]]
        self.sets[name]["methods"][variant] = sorted([*rows, row | {"commit": self.commit}], key=lambda r: r["seed"])
        self.write()

    def add_numbers(self, name: str, found: dict[str, int]) -> None:
        """Put in how many clusters other ways find."""
        self.refresh(name)
        self.sets[name]["numbers"] = found
        self.write()

    def write(self) -> None:
        write_results(self.name, {"sets": {name: self.sets[name] for name in SETS if name in self.sets}})


def jobs(results: Results, name: str, y: np.ndarray, options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """(variant, seed) of the runs that are missing, the first seed of every method first."""
    known = results.of(name, y)["methods"]
    variants = list(VARIANTS) if options.methods is None else list(filter(None, options.methods.split(";")))
    wanted = [(variant, seed) for variant in variants for seed in seeds_of(variant, len(y)) if seed in options.seeds]
    for variant, seed in sorted(wanted, key=lambda job: job[1]):
        if options.again or seed not in {row["seed"] for row in known.get(variant, [])}:
            yield variant, seed


def run_set(name: str, options: argparse.Namespace) -> None:
    """All runs of a set that are missing."""
    x, y = load(name, Path(options.folder))
    results = Results(SETS[name].half)
    for variant, seed in jobs(results, name, y, options):
        row = run(x, y, variant, seed)
        results.add(name, variant, row)
        print(name, variant, {k: v for k, v in row.items() if k not in ("signs", "estimated_accuracy")}, flush=True)
    if options.numbers and "numbers" not in results.of(name, y):
        results.add_numbers(name, numbers(x))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", help="names, with commas")
    parser.add_argument("--half", choices=["development", "reporting"])
    parser.add_argument("--methods", help="names as in the tables, with semicolons")
    parser.add_argument("--seeds", type=parse_seeds, default="0-4")
    parser.add_argument("--folder", default="runs/feature-sets", help="where the sets are kept")
    parser.add_argument("--again", action="store_true", help="repeat runs that are known")
    parser.add_argument("--numbers", action="store_true", help="also how many clusters HDBSCAN and the eigengap find")
    parser.add_argument("--table", action="store_true", help="print the tables and the checks")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    if options.table:
        print_tables()
        return
    torch.set_num_threads(1)
    names = options.sets.split(",") if options.sets else [n for n in SETS if options.half in (None, SETS[n].half)]
    for name in names:
        run_set(name, options)


if __name__ == "__main__":
    main()
