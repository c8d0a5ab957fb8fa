"""Every method and baseline on the same sets, in the same time.

    [SELFLABEL_DATA=...] python -m reproduce.field SET [--methods a,b] [--seeds 0-4] [--seconds 120 | --epochs 30] [--encoder E]

SET is an embedded set (digits, mnist5k), a real set by its name (mnist, imagenette128, cifar10, ...), or any SOURCE. Writes
results/field-SET.json, where methods and seeds that were not asked for keep their rows. Each method's runs are kept in
runs/field-SET-SEED, so a second start continues. Epochs are fitted to the seconds with the first seed of a method; its other
seeds take as many.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reproduce.common import read_results, with_summary, with_truth, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.compare import compare, folder_of
from selflabel.jobs.score import probe_run
from selflabel.methods import BASELINES, METHODS
from selflabel.runs.run import Run

CLASSES = {"digits": 10, "mnist5k": 10, "mnist": 10, "cifar10": 10, "imagenette128": 10}


def set_title(options: argparse.Namespace) -> str:
    """The set, how many of its items, and on which features where these are given."""
    limit = [f"{options.limit:,} items"] if options.limit else []
    return ", ".join([options.set, *limit, *([options.encoder] if options.encoder != "scratch" else [])])


def rows_by_seed(name: str, header: dict[str, str]) -> dict[str, dict[int, dict]]:
    """Methods' rows by seed in results/NAME.json, if they are of the same data and budget."""
    old = read_results(name)
    methods = old["methods"] if header.items() <= old.items() else {}
    return {method: {row["seed"]: row for row in of["rows"]} for method, of in methods.items()}


def parse_seeds(text: str) -> list[int]:
    """Seeds from single numbers and ranges.

    Example:
        >>> parse_seeds("0-2"), parse_seeds("1,4")
        ([0, 1, 2], [1, 4])
    """
    ends = [[int(n) for n in part.split("-")] for part in text.split(",")]
    return [seed for part in ends for seed in range(part[0], part[-1] + 1)]


def entries(methods: list[str], epochs: dict[str, int]) -> dict[str, str]:
    """The entries that `compare` takes, each with its method; epochs: those fitted with an earlier seed.

    Example:
        >>> entries(["iic", "kmeans"], {"iic": 9, "kmeans": 0})
        {'iic epochs=9': 'iic', 'kmeans': 'kmeans'}
    """
    return {f"{m} epochs={epochs[m]}" if epochs.get(m) else m: m for m in methods}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--methods", default=",".join(m for m in [*METHODS, *BASELINES] if m != "selavi"))
    parser.add_argument("--seeds", type=parse_seeds, default="0-4")
    parser.add_argument("-k", type=int)
    parser.add_argument("--limit", type=int, help="items of a real set")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--encoder", default="scratch")
    parser.add_argument("--weights")
    parser.add_argument("--runs", default="runs")
    return parser.parse_args()


def compare_one_seed(options: argparse.Namespace, name: str, source: str, seed: int, epochs: dict[str, int]) -> dict[str, dict]:
    """Method to its row; epochs gets those that were fitted to the seconds."""
    settings = make_settings(
        source=source,
        clusters=options.k or CLASSES.get(options.set),
        seed=seed,
        epochs=options.epochs,
        encoder=options.encoder,
        weights=options.weights,
    )
    out, rows, methods = Path(options.runs) / f"{name}-{seed}", {}, entries(options.methods.split(","), epochs)
    for row in compare(settings, list(methods), out, options.seconds, lambda text: print(text, flush=True)):
        method = methods[row["method"]]
        if row["failed"] is None:
            run = Run(folder_of(row["method"], out))
            more = {"signs": run.report["signs"], "probe": probe_run(run, None)}
            rows[method] = row | {"method": method, "seed": seed, **more}
            epochs.setdefault(method, row["epochs"])
        print({c: v for c, v in row.items() if v is not None}, flush=True)
    return rows


def main() -> None:
    options = parse_options()
    source, name = with_truth(options.set, options.limit), f"field-{options.set}"
    budget = f"{options.seconds:g} s of training" if options.seconds else f"{options.epochs or 'own'} epochs"
    header = {"data": set_title(options), "budget": budget}
    epochs = {m: of[min(of)]["epochs"] for m, of in rows_by_seed(name, header).items() if min(of) not in options.seeds}
    for seed in options.seeds:
        new = compare_one_seed(options, name, source, seed, epochs)
        old = rows_by_seed(name, header)
        rows = {m: old.get(m, {}) | ({seed: new[m]} if m in new else {}) for m in {**old, **new}}
        methods = {m: with_summary([of[s] for s in sorted(of)]) for m, of in rows.items()}
        write_results(name, {**header, "methods": methods})


if __name__ == "__main__":
    main()
