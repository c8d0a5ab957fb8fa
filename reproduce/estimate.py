"""The accuracy estimated without truth beside the true one, over sets and methods good and bad, each left out of its calibration.

    SELFLABEL_DATA=... python -m reproduce.estimate        # needs reproduce.frozen's weights package

For every set the constants are fitted on all other sets, the estimate is made, and its error stated. The last fit, on all sets,
is what `evaluation/diagnostics.py` holds. `--refit` fits anew to the rows that are there.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from reproduce.common import RESULTS, measured, unpacked, write_results
from reproduce.frozen import ENCODER, lite0_weights
from selflabel.evaluation.diagnostics import Signs, fitted, predicted

NAME = "estimated-accuracy"
SEEDS = (0, 1, 2)
KNOWN = ("mnist5k", "digits", "mnist", "imagenette128-frozen", "imbalanced10-frozen", "imbalanced20-frozen")


def known_rows() -> list[dict]:
    """Rows that other scripts measured."""
    rows = []
    for name in KNOWN:
        file = RESULTS / f"{name}.json"
        found = json.loads(file.read_text())["methods"] if file.exists() else {}
        for method, content in found.items():
            rows += [{"set": name, "how": method, **pick(r)} for r in content["rows"] if "signs" in r]
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


def calibrates(row: dict) -> bool:
    """What `label` does by default, long or short; the paper's method and forced masses are shown and not fitted to."""
    return row["how"] == "sela-nn" or row["how"].endswith("epochs")


def main() -> None:
    fresh = known_rows()
    if "--refit" in sys.argv:
        old = json.loads((RESULTS / f"{NAME}.json").read_text())["rows"]
        rows = fresh + [r for r in old if (r["set"], r["how"]) not in {(f["set"], f["how"]) for f in fresh}]
    else:
        rows = fresh + new_rows()
    signs = [Signs(**r["signs"]) for r in rows]
    truth, sets = np.array([r["accuracy"] for r in rows]), np.array([r["set"] for r in rows])
    used = np.array([calibrates(r) for r in rows])
    for name in sorted(set(sets)):
        others = np.flatnonzero(used & (sets != name))
        constants = fitted([signs[i] for i in others], truth[others])
        for i in np.flatnonzero(sets == name):
            rows[i]["estimated"] = round(predicted(signs[i], constants), 4)
    errors = np.abs(np.array([r["estimated"] for r in rows]) - truth)
    by_set = {name: round(float(np.median(errors[used & (sets == name)])), 4) for name in sorted(set(sets))}
    chosen = np.flatnonzero(used)
    found = {
        "median_error": round(float(np.median(errors[used])), 4),
        "error_90_percent": round(float(np.quantile(errors[used], 0.9)), 4),
        "share_within_0.05": round(float((errors[used] <= 0.05).mean()), 3),
        "median_error_by_set": by_set,
        "constants": [round(float(c), 4) for c in fitted([signs[i] for i in chosen], truth[chosen])],
    }
    print(json.dumps(found, indent=1))
    write_results(NAME, {"data": "each set left out of its calibration", **found, "rows": rows})


if __name__ == "__main__":
    main()
