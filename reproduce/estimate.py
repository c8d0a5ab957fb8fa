"""The accuracy estimated without truth beside the true one, over sets and methods good and bad, each left out of its calibration.

    SELFLABEL_DATA=... python -m reproduce.estimate        # needs reproduce.frozen's weights package

For every set the constants are fitted on all other sets, the estimate is made, and its error stated; sets whose items were shown
to a network and sets of frozen features apart. The last fit, on all sets, is what `evaluation/diagnostics.py` holds. `--refit`
fits anew to the rows that are there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np

from reproduce.common import RESULTS, measured, read_results, unpacked, write_results
from reproduce.frozen import ENCODER, lite0_weights
from selflabel.evaluation.diagnostics import Signs, by_confidence, by_views, fitted

NAME = "estimated-accuracy"
SEEDS = (0, 1, 2)
FROZEN = "-frozen"
KNOWN = ("mnist5k", "digits", "mnist", "fsdd", "mnist_fsdd", "ucf101_av7")
KNOWN += ("imagenette128-frozen", "imbalanced10-frozen", "imbalanced20-frozen")
PRIORS = {by_views: (0.5, 1.0), by_confidence: (0.3, 2.0)}


def known_rows() -> list[dict]:
    """Rows that other scripts measured, of methods with more than one head."""
    rows = []
    for name in (*KNOWN, *(file.stem for file in sorted(RESULTS.glob("field-*.json")))):
        content = read_results(name)
        of = name.removeprefix("field-") + (FROZEN if "frozen" in content["data"] else "")
        for method, found in content["methods"].items():
            several = [
                r for r in found["rows"] if "signs" in r and r.get("estimated accuracy", r.get("estimated_accuracy")) is not None
            ]
            rows += [{"set": of, "how": method, **pick(r)} for r in several]
    return rows


def pick(row: dict) -> dict:
    return {"accuracy": row["accuracy"], "signs": row["signs"]}


def new_rows() -> list[dict]:
    """Short runs, the paper's method, and harder sets."""
    rows = []
    for seed in SEEDS:
        for name, epochs in (("mnist5k", 3), ("digits", 6)):
            rows.append(
                {"set": name, "how": f"{epochs} epochs", **pick(measured(name, None, clusters=10, seed=seed, epochs=epochs))}
            )
        rows.append(
            {"set": "digits", "how": "sela", **pick(measured("digits", None, clusters=10, seed=seed, method="sela", epochs=20))}
        )
        for name, split in (("cifar10", "test"), ("tinyimagenet20", "all")):
            folder, truth = unpacked(name, split, 3000)
            k = len(set(truth.values()))
            given = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights())}
            rows.append(
                {"set": f"{name}-frozen", "how": "sela-nn", **pick(measured(folder, truth, clusters=k, seed=seed, **given))}
            )
    folder, truth = unpacked("cifar10", "test", 3000)
    rows.append({"set": "cifar10-pixels", "how": "4 epochs", **pick(measured(folder, truth, clusters=10, epochs=4))})
    return rows


def is_default(row: dict) -> bool:
    """What `label` does by default, long or short."""
    return row["how"] == "sela-nn" or row["how"].endswith("epochs")


def left_out(rows: list[dict], estimate: Callable, used: Callable[[dict], bool]) -> np.ndarray:
    """Write every row's estimate, by constants fitted on the other sets; those fitted on all. Each set weighs the same."""
    signs, truth = [Signs(**r["signs"]) for r in rows], np.array([r["accuracy"] for r in rows])
    sets, fits = np.array([r["set"] for r in rows]), np.array([used(r) for r in rows])

    def fit(of: np.ndarray) -> np.ndarray:
        at = np.flatnonzero(of & fits)
        weights = np.array([1 / (sets[at] == sets[i]).sum() for i in at])
        return fitted(estimate, PRIORS[estimate], [signs[i] for i in at], truth[at], weights)

    for name in sorted(set(sets)):
        constants = fit(sets != name)
        for i in np.flatnonzero(sets == name):
            rows[i]["estimated"] = round(estimate(signs[i], constants), 4)
    return fit(np.ones(len(rows), bool))


def errors(rows: list[dict]) -> dict:
    found = np.abs([r["estimated"] - r["accuracy"] for r in rows])
    sets = np.array([r["set"] for r in rows])
    return {
        "mean_error_by_set": {name: round(float(np.mean(found[sets == name])), 4) for name in sorted(set(sets))},
        "median_error": round(float(np.median(found)), 4),
        "error_90_percent": round(float(np.quantile(found, 0.9)), 4),
        "share_within_0.05": round(float((found <= 0.05).mean()), 3),
        "median_error_by_set": {name: round(float(np.median(found[sets == name])), 4) for name in sorted(set(sets))},
    }


def main() -> None:
    rows = known_rows()
    if "--refit" in sys.argv:
        rows += [r for r in read_results(NAME)["rows"] if (r["set"], r["how"]) not in {(f["set"], f["how"]) for f in rows}]
    else:
        rows += new_rows()
    frozen = [r for r in rows if r["set"].endswith(FROZEN)]
    shown = [r for r in rows if not r["set"].endswith(FROZEN)]
    constants = {
        "of support and stability": left_out(shown, by_views, lambda row: True),
        "of features": left_out(frozen, by_confidence, is_default),
    }
    found = {
        "default": errors([r for r in rows if is_default(r)]),
        "all methods, shown": errors(shown),
        "all methods, frozen features": errors(frozen),
        "constants": {name: [round(float(c), 4) for c in of] for name, of in constants.items()},
    }
    print(json.dumps(found, indent=1))
    write_results(NAME, {"data": "each set left out of its calibration", **found, "rows": rows})


if __name__ == "__main__":
    main()
