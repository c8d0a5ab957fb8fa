"""Every method and baseline on the same sets, in the same time: the neighbours in one frame.

    [SELFLABEL_DATA=...] python -m reproduce.field SET [--methods a,b] [--seeds 0-4] [--seconds 120 | --epochs 30] [--encoder E]

SET is an embedded set (digits, mnist5k), a real set by its name (mnist, imagenette128, cifar10, ...), or any SOURCE. Writes
results/field-SET.json, where methods and seeds that were not asked keep their rows; each method's runs are kept in
runs/field-SET-SEED, so a second start goes on. Epochs are fitted to the seconds with a method's first seed; the others take as
many.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reproduce.common import read_results, summary, with_truth, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.compare import compare, folder_of
from selflabel.jobs.score import probe_run
from selflabel.methods import BASELINES, METHODS
from selflabel.runs.run import Run

CLASSES = {"digits": 10, "mnist5k": 10, "mnist": 10, "cifar10": 10, "imagenette128": 10}


def titled(given: argparse.Namespace) -> str:
    """What was labelled: the set, how much of it, and on what features where these were given."""
    some = [f"{given.limit:,} items"] if given.limit else []
    return ", ".join([given.set, *some, *([given.encoder] if given.encoder != "auto" else [])])


def kept(name: str, what: dict[str, str]) -> dict[str, dict[int, dict]]:
    """Methods' rows by seed in results/NAME.json, if they are of the same data and budget."""
    old = read_results(name)
    found = old["methods"] if what.items() <= old.items() else {}
    return {method: {row["seed"]: row for row in of["rows"]} for method, of in found.items()}


def seeds_of(text: str) -> list[int]:
    """Seeds named one by one or as a stretch.

    Example:
        >>> seeds_of("0-2"), seeds_of("1,4")
        ([0, 1, 2], [1, 4])
    """
    ends = [[int(n) for n in part.split("-")] for part in text.split(",")]
    return [seed for part in ends for seed in range(part[0], part[-1] + 1)]


def entries(methods: list[str], fitted: dict[str, int]) -> dict[str, str]:
    """What `compare` is given, to the method it is of.

    Example:
        >>> entries(["iic", "kmeans"], {"iic": 9, "kmeans": 0})
        {'iic epochs=9': 'iic', 'kmeans': 'kmeans'}
    """
    return {f"{m} epochs={fitted[m]}" if fitted.get(m) else m: m for m in methods}


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--methods", default=",".join(m for m in [*METHODS, *BASELINES] if m != "selavi"))
    parser.add_argument("--seeds", type=seeds_of, default="0-4")
    parser.add_argument("-k", type=int)
    parser.add_argument("--limit", type=int, help="items of a real set")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--weights")
    parser.add_argument("--runs", default="runs")
    return parser.parse_args()


def main() -> None:
    given = asked()
    source, k = with_truth(given.set, given.limit), given.k or CLASSES.get(given.set)
    what = {
        "data": titled(given),
        "budget": f"{given.seconds:g} s of training" if given.seconds else f"{given.epochs or 'own'} epochs",
    }
    name = f"field-{given.set}"
    fitted = {m: of[min(of)]["epochs"] for m, of in kept(name, what).items() if min(of) not in given.seeds}
    for seed in given.seeds:
        settings = make_settings(
            source=source, clusters=k, seed=seed, epochs=given.epochs, encoder=given.encoder, weights=given.weights
        )
        out, fresh, named = Path(given.runs) / f"{name}-{seed}", {}, entries(given.methods.split(","), fitted)
        for row in compare(settings, list(named), out, given.seconds, lambda text: print(text, flush=True)):
            method = named[row["method"]]
            if row["failed"] is None:
                run = Run(folder_of(row["method"], out))
                more = {"signs": run.report["signs"], "probe": probe_run(run, None)}
                fresh[method] = row | {"method": method, "seed": seed, **more}
                fitted.setdefault(method, row["epochs"])
            print({c: v for c, v in row.items() if v is not None}, flush=True)
        known = kept(name, what)
        rows = {m: known.get(m, {}) | ({seed: fresh[m]} if m in fresh else {}) for m in {**known, **fresh}}
        ordered = {m: [of[s] for s in sorted(of)] for m, of in rows.items()}
        write_results(name, {**what, "methods": {m: {"summary": summary(of), "rows": of} for m, of in ordered.items()}})


if __name__ == "__main__":
    main()
