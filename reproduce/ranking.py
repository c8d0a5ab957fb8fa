"""Which method is best when there is no truth: how `compare` ranks all of them by merit and by estimated accuracy.

    SELFLABEL_DATA=... python -m reproduce.ranking [--runs FOLDER]

Short runs, so that methods differ. Writes results/ranking.json: for each set Spearman's rank correlation with accuracy over the
methods that have the number, and the accuracy of the method that each number ranks first. A second start continues.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reproduce.common import with_truth, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.compare import compare
from selflabel.methods import BASELINES, METHODS

SETS = {"digits": (None, 25), "mnist5k": (None, 6), "cifar10": (2_500, 5)}  # items, epochs
VERSION_2 = "deepcluster version=2"
ALL_METHODS = [*(m for m in METHODS if m != "selavi"), VERSION_2, *BASELINES]
NUMBERS = ("merit", "estimated accuracy", "stability", "neighbours")


def ranking_by(rows: list[dict], number: str) -> dict:
    """How well a number ranks methods; rows: those of `compare`, with accuracy."""
    from scipy.stats import spearmanr

    rows = [r for r in rows if r[number] is not None]
    first = max(rows, key=lambda r: r[number])
    correlation = float(spearmanr([r[number] for r in rows], [r["accuracy"] for r in rows])[0])
    return {"methods": len(rows), "spearman": round(correlation, 3), "first": first["method"], "its accuracy": first["accuracy"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="runs")
    folder = Path(parser.parse_args().runs)
    results = {}
    for name, (limit, epochs) in SETS.items():
        settings = make_settings(source=with_truth(name, limit), clusters=10, encoder="scratch", seed=0, epochs=epochs)
        rows = [r for r in compare(settings, ALL_METHODS, folder / f"ranking-{name}", say=print) if r["failed"] is None]
        by = {number: ranking_by(rows, number) for number in NUMBERS}
        best = max(rows, key=lambda r: r["accuracy"])
        results[name] = {"epochs": epochs, "best": best["method"], "its accuracy": best["accuracy"], "by": by, "rows": rows}
        print(name, best["method"], by, flush=True)
    write_results("ranking", {"data": ", ".join(SETS), "budget": "epochs, a set", "found": results})


if __name__ == "__main__":
    main()
