"""The accuracy estimated without truth beside the true one; each set is left out of its own calibration.

    SELFLABEL_DATA=... python -m reproduce.estimate [--refit]       # needs reproduce.lite0's weights package

For every set the constants are fitted on all other sets, the accuracy is estimated, and its error recorded; sets whose items were
shown to a network and sets of frozen features are separate. The last fit, on all sets, is what `evaluation/diagnostics.py` has.
`--refit` fits to the rows that are there, without new runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np

from reproduce.common import RESULTS, label_and_score, read_results, unpack, write_results
from reproduce.lite0 import ENCODER, lite0_weights
from selflabel.evaluation.diagnostics import Diagnostics, accuracy_from_confidence, accuracy_from_stability, fit_constants

NAME = "estimated-accuracy"
SEEDS = (0, 1, 2)
FROZEN = "-frozen"
KNOWN = ("mnist5k", "digits", "mnist", "fsdd", "mnist_fsdd", "ucf101_av7")
KNOWN += ("imagenette128-frozen", "imbalanced10-frozen", "imbalanced20-frozen")
PRIORS = {accuracy_from_stability: (0.5, 1.0), accuracy_from_confidence: (0.3, 2.0)}


def known_rows() -> list[dict]:
    """Rows of other scripts' results, of methods with more than one head."""
    rows = []
    for name in (*KNOWN, *(file.stem for file in sorted(RESULTS.glob("field-*.json")))):
        content = read_results(name)
        set_name = name.removeprefix("field-") + (FROZEN if "frozen" in content["data"] else "")
        for method, values in content["methods"].items():
            rows += [row_of(set_name, method, r) for r in values["rows"] if "signs" in r and has_estimate(r)]
    return rows


def has_estimate(row: dict) -> bool:
    return row.get("estimated accuracy", row.get("estimated_accuracy")) is not None


def row_of(set_name: str, how: str, scores: dict) -> dict:
    return {"set": set_name, "how": how, "accuracy": scores["accuracy"], "signs": scores["signs"]}


def new_rows() -> list[dict]:
    """Short runs, the paper's method, and harder sets."""
    rows = []
    for seed in SEEDS:
        for name, epochs in (("mnist5k", 3), ("digits", 6)):
            rows.append(row_of(name, f"{epochs} epochs", label_and_score(name, None, clusters=10, seed=seed, epochs=epochs)))
        scores = label_and_score("digits", None, clusters=10, seed=seed, method="sela", epochs=20)
        rows.append(row_of("digits", "sela", scores))
        for name, split in (("cifar10", "test"), ("tinyimagenet20", "all")):
            folder, truth = unpack(name, split, 3000)
            settings = {"encoder": f"frozen:{ENCODER}", "weights": str(lite0_weights()), "clusters": len(set(truth.values()))}
            rows.append(row_of(f"{name}-frozen", "sela-nn", label_and_score(folder, truth, seed=seed, **settings)))
    folder, truth = unpack("cifar10", "test", 3000)
    rows.append(row_of("cifar10-pixels", "4 epochs", label_and_score(folder, truth, clusters=10, epochs=4)))
    return rows


def is_default(row: dict) -> bool:
    """Whether a row is of the default method, trained for long or short."""
    return row["how"] == "sela-nn" or row["how"].endswith("epochs")


def estimate_left_out(rows: list[dict], estimate: Callable, is_used: Callable[[dict], bool]) -> np.ndarray:
    """Write the estimate of every row, by constants fitted on the other sets. Each set has the same weight.

    Returns:
        The constants fitted on all sets.
    """
    signs, truth = [Diagnostics(**r["signs"]) for r in rows], np.array([r["accuracy"] for r in rows])
    sets, used = np.array([r["set"] for r in rows]), np.array([is_used(r) for r in rows])

    def fit(subset: np.ndarray) -> np.ndarray:
        at = np.flatnonzero(subset & used)
        weights = np.array([1 / (sets[at] == sets[i]).sum() for i in at])
        return fit_constants(estimate, PRIORS[estimate], [signs[i] for i in at], truth[at], weights)

    for name in sorted(set(sets)):
        constants = fit(sets != name)
        for i in np.flatnonzero(sets == name):
            rows[i]["estimated"] = round(estimate(signs[i], constants), 4)
    return fit(np.ones(len(rows), bool))


def errors(rows: list[dict]) -> dict:
    """Absolute errors of the estimates, in all and set by set."""
    absolute = np.abs([r["estimated"] - r["accuracy"] for r in rows])
    sets = np.array([r["set"] for r in rows])
    return {
        "mean_error_by_set": {name: round(float(np.mean(absolute[sets == name])), 4) for name in sorted(set(sets))},
        "median_error": round(float(np.median(absolute)), 4),
        "error_90_percent": round(float(np.quantile(absolute, 0.9)), 4),
        "share_within_0.05": round(float((absolute <= 0.05).mean()), 3),
        "median_error_by_set": {name: round(float(np.median(absolute[sets == name])), 4) for name in sorted(set(sets))},
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
        "of support and stability": estimate_left_out(shown, accuracy_from_stability, lambda row: True),
        "of features": estimate_left_out(frozen, accuracy_from_confidence, is_default),
    }
    results = {
        "default": errors([r for r in rows if is_default(r)]),
        "all methods, shown": errors(shown),
        "all methods, frozen features": errors(frozen),
        "constants": {name: [round(float(c), 4) for c in of] for name, of in constants.items()},
    }
    print(json.dumps(results, indent=1))
    write_results(NAME, {"data": "each set left out of its calibration", **results, "rows": rows})


if __name__ == "__main__":
    main()
