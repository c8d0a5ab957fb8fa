"""Calibrate the accuracy that is estimated without truth: a whole kind of data left out at a time.

    python -m reproduce.estimate SETS_FOLDER [--seconds 540]      # new runs on features, then fit
    python -m reproduce.estimate                                  # fit again, to the runs that results/ has

SETS_FOLDER has NAME.npz files with x (rows of features) and y (classes). They are labelled with several methods, K and sizes
until the seconds (of the processor) are used; runs of trained networks come from other scripts' results. For each group of runs
weights are fitted, and a band that holds the errors on kinds of data that were left out. How often it holds is measured on kinds
that neither has seen. Writes results/estimated-accuracy.json and the models that the program uses,
src/selflabel/evaluation/accuracy_models.py.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.common import RESULTS, ROOT, read_results, write_results
from selflabel.base.settings import make_settings
from selflabel.evaluation.diagnostics import Diagnostics
from selflabel.evaluation.estimate import (
    AccuracyModel,
    estimated_accuracy,
    fit_weights,
    log_odds,
    predicted_log_odds,
    widest_band,
)
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.label import label

NAME = "estimated-accuracy"
MODELS = ROOT / "src/selflabel/evaluation/accuracy_models.py"
DEFAULT = "sela-nn"
# Chosen by hand: where they are picked anew from the kinds that are there, bands on kinds left out hold less often.
INDICATORS = {"sela-nn, features": ("support", "confidence")}  # of other groups SUPPORT_AND_STABILITY
SUPPORT_AND_STABILITY = ("support", "stability")
HOLDS, WIDE = 0.85, 2.0  # a group whose band holds less often on kinds left out, or is wider (log-odds), gets no model

# ---------------------------------------------------------------------------------------------------- runs on features
ROWS, FEW_ROWS = 800, 250
PER_CLUSTER = 12  # rows for each class, at least
JUNK = "junk"
# The plan, in order: method, factor on the number of classes, rows, seed. What there is no time for is left out.
PLAN = [
    (DEFAULT, 1.0, ROWS, 0),
    ("kmeans", 1.0, ROWS, 0),
    (DEFAULT, 0.75, ROWS, 0),
    (DEFAULT, 1.3, ROWS, 0),
    (DEFAULT, 1.0, FEW_ROWS, 0),
    ("deepcluster", 1.0, ROWS, 0),
    (DEFAULT, 1.0, ROWS, 1),
    ("sela", 1.0, ROWS, 0),
    ("temi", 1.0, ROWS, 0),
]
# The kind of a set by the beginning of its name. Those of random features have classes that cannot be found.
KINDS = {
    "imagenette": "photos, pretrained",
    "tiny": "photos, pretrained",
    "cifar": "photos, pretrained",
    "uneven": "photos, pretrained",
    "digits": "pixels",
    "mnist": "pixels",
    "pairs": "pixels",
    "spoken": "sounds",
    "fsdd": "sounds",
    "clips": "clips",
    "ucf": "clips",
    "random": "random",
}
TRAINED_KINDS = {"cifar10": "photos", "fsdd": "sounds", "mnist_fsdd": "sounds", "ucf101_av7": "clips"}


def kind_of(name: str) -> str:
    """The kind of data of a set of features; one that is not known is a kind of its own."""
    return next((kind for start, kind in KINDS.items() if name.startswith(start)), name)


def feature_sets(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, rows, classes) of the sets in a folder, without junk; and noise, and digits seen by a random network."""
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as content:
            x, y = np.asarray(content["x"], np.float32), content["y"].astype(str)
        yield file.stem, x[y != JUNK], y[y != JUNK]
        if file.stem in ("mnist5k", "digits"):
            yield f"random-network-{file.stem}", random_network(x), y
    generator = np.random.default_rng(0)
    yield "random-noise", generator.normal(size=(ROWS, 64)).astype(np.float32), generator.integers(0, 10, ROWS).astype(str)


def random_network(x_ND: np.ndarray) -> np.ndarray:
    """(N, 64) features of a network of three random layers."""
    generator = np.random.default_rng(0)
    h = (x_ND - x_ND.mean()) / x_ND.std()
    for width in (256, 256, 64):
        h = np.maximum(0, h @ generator.normal(size=(h.shape[1], width)) / np.sqrt(h.shape[1]))
        h -= h.mean(axis=0)
    return h.astype(np.float32)


def some_rows(y_N: np.ndarray, n: int) -> np.ndarray:
    """Rows of a random sample; a class of one row is left out with it only by chance."""
    return np.sort(np.random.default_rng(0).permutation(len(y_N))[:n])


def new_rows(folder: Path, seconds: float) -> list[dict]:
    """A row for each run of the plan, until the seconds are used."""
    sets, end, rows = list(feature_sets(folder)), time.process_time() + seconds, []
    for method, factor, n, seed in PLAN:
        for name, x, y in sets:
            at = some_rows(y, n)
            classes = len(np.unique(y[at]))
            K = max(2, round(factor * classes))
            if len(at) < PER_CLUSTER * K or (n == FEW_ROWS and len(y) <= FEW_ROWS):
                continue
            if time.process_time() > end:
                print(f"no time for {method}, {factor:g} of the classes, {n} rows, seed {seed}, from {name} on")
                break
            rows.append(feature_row(name, x[at], y[at], method, K, seed))
    return rows


def feature_row(name: str, x: np.ndarray, y: np.ndarray, method: str, K: int, seed: int) -> dict:
    settings = make_settings(source="array", clusters=K, method=method, seed=seed, device="cpu")
    labelled = label(settings, None, data=x)
    assert labelled.labelling is not None
    row = {"set": name, "kind": kind_of(name), "how": method, "group": group_of(method, "features"), "K": K, "n": len(x)}
    true = round(accuracy(y, labelled.labelling.labels), 4)
    print(f"{name:24} {method:12} K {K:3} of {len(np.unique(y)):3}, {len(x):4} rows: accuracy {true:.3f}", flush=True)
    used = int((np.array(labelled["sizes"]) > 0).sum())
    return row | {"accuracy": true, "clusters": used, "signs": labelled["signs"]}


def group_of(how: str, shown: str) -> str:
    """The name of a group of runs; shown: "features" or "views"."""
    return f"{DEFAULT}, {shown}" if how.startswith(DEFAULT) or how.endswith("epochs") else f"others, {shown}"


# ------------------------------------------------------------------------------------------------ runs that are known
KNOWN = ("mnist5k", "digits", "mnist", "fsdd", "mnist_fsdd", "ucf101_av7")
FROZEN = {"imagenette128-frozen": 10, "imbalanced10-frozen": 10, "imbalanced20-frozen": 20}  # results to their classes
FROZEN_ROWS, TRAINED_ROWS = 3000, 250  # of those; the smallest set of clips, about


def known_rows() -> list[dict]:
    """Runs with more than one head of other scripts' results, and runs of trained networks that were kept here."""
    rows = []
    for name in (*KNOWN, *FROZEN, *(file.stem for file in sorted(RESULTS.glob("field-*.json")))):
        content = read_results(name)
        frozen = name in FROZEN or "frozen" in content["data"]
        for method, of_method in content["methods"].items():
            rows += [known_row(name.removeprefix("field-"), method, r, frozen) for r in of_method["rows"] if has_heads(r)]
    new = {(r["set"], r["how"]) for r in rows}
    kept = [r for r in read_results(NAME)["rows"] if r["group"].endswith("views") and (r["set"], r["how"]) not in new]
    return rows + kept


def has_heads(row: dict) -> bool:
    """Whether a run had heads that can agree; with a single one they agree by definition."""
    return "signs" in row and not row["signs"]["support"] == row["signs"]["agreement"] == 1


def known_row(name: str, how: str, row: dict, frozen: bool) -> dict:
    group = group_of(how, "features" if frozen else "views")
    K = FROZEN.get(name, 10) if frozen else 7 if name.startswith("ucf") else 10
    kind = "photos, pretrained" if frozen else TRAINED_KINDS.get(name, "pixels")
    known = {"set": name, "kind": kind, "how": how, "group": group, "K": K, "n": FROZEN_ROWS if frozen else None}
    return known | {"accuracy": row["accuracy"], "clusters": K, "signs": row["signs"]}


# ------------------------------------------------------------------------------------------------------------- fitting


def values(rows: list[dict], indicators: tuple[str, ...]) -> np.ndarray:
    """(R, D) indicators of runs."""
    return np.array([[r["signs"][name] for name in indicators] for r in rows])


def truth(rows: list[dict]) -> np.ndarray:
    return np.array([r["accuracy"] for r in rows])


def weights_of_sets(rows: list[dict]) -> np.ndarray:
    """(R,) weights by which each set counts the same."""
    sets = [r["set"] for r in rows]
    return np.array([1 / sets.count(name) for name in sets])


def left_out(rows: list[dict], predict: Callable[[list[dict], list[dict]], np.ndarray]) -> np.ndarray:
    """(R, ...) what `predict` (runs to fit to, runs to predict) says of each run from runs on other kinds of data."""
    parts: dict[int, Any] = {}
    for kind in sorted({r["kind"] for r in rows}):
        at = [i for i, r in enumerate(rows) if r["kind"] == kind]
        predicted = predict([r for r in rows if r["kind"] != kind], [rows[i] for i in at])
        parts |= dict(zip(at, predicted))
    return np.array([parts[i] for i in range(len(rows))])


def odds_by(indicators: tuple[str, ...]) -> Callable[[list[dict], list[dict]], np.ndarray]:
    """A `predict` for `left_out`: the log-odds of the accuracies."""

    def predict(known: list[dict], of: list[dict]) -> np.ndarray:
        weights = fit_weights(values(known, indicators), truth(known), weights_of_sets(known))
        return predicted_log_odds(weights, values(of, indicators))

    return predict


def fit_model(rows: list[dict]) -> AccuracyModel:
    """The model of a group of runs: weights by all of them, the band by kinds left out of the weights."""
    names = INDICATORS.get(rows[0]["group"], SUPPORT_AND_STABILITY)
    errors = log_odds(truth(rows)) - left_out(rows, odds_by(names))
    return AccuracyModel(
        names,
        tuple(round(float(w), 4) for w in fit_weights(values(rows, names), truth(rows), weights_of_sets(rows))),
        tuple(round(float(x), 3) for x in values(rows, names).min(axis=0)),
        round(widest_band(errors, [r["kind"] for r in rows]), 3),
        round(float(min(0.99, truth(rows).max())), 3),
        min(r.get("n") or TRAINED_ROWS for r in rows),
        min((r.get("n") or TRAINED_ROWS) // r["K"] for r in rows),
    )


def estimates_by(known: list[dict], of: list[dict]) -> np.ndarray:
    """A `predict` for `left_out`: value, low and high by weights and a band that have not seen these runs, without a cap."""
    model = replace(fit_model(known), highest=1.0)
    estimates = [estimated_accuracy(Diagnostics(**r["signs"]), model, r["clusters"]) for r in of]
    return np.array([[e["value"], e["low"], e["high"]] for e in estimates])


def measure(rows: list[dict]) -> dict:
    """How good estimates are on kinds left out; each row gets its own."""
    estimates, true = left_out(rows, estimates_by), truth(rows)
    kinds = np.array([r["kind"] for r in rows])
    holds = (true >= estimates[:, 1] - 0.005) & (true <= estimates[:, 2] + 0.005)
    for r, (value, low, high), hold in zip(rows, estimates.tolist(), holds.tolist()):
        r |= {"estimated": round(value, 4), "low": round(low, 4), "high": round(high, 4), "holds": hold}
    errors = np.abs(estimates[:, 0] - true)
    return {
        "runs": len(rows),
        "band_holds": round(float(holds.mean()), 3),
        "band_holds_by_kind": {k: round(float(holds[kinds == k].mean()), 3) for k in sorted(set(kinds))},
        "mean_width": round(float((estimates[:, 2] - estimates[:, 1]).mean()), 3),
        "median_error": round(float(np.median(errors)), 4),
        "median_error_by_kind": {k: round(float(np.median(errors[kinds == k])), 4) for k in sorted(set(kinds))},
    }


# ------------------------------------------------------------------------------------------------------------- writing

HEAD = '''"""The models by which accuracies are estimated; written by `python -m reproduce.estimate`, not by hand."""

from __future__ import annotations

from selflabel.evaluation.estimate import AccuracyModel

MODELS = {
'''
TAIL = '''}


def model_of(method: str, has_views: bool) -> AccuracyModel | None:
    """The model of a run's group; None where none held often enough on kinds of data that were left out.

    Args:
        method: its name.
        has_views: whether a network was trained on changed views of the items; False where features were given or frozen.
    """
    shown = "views" if has_views else "features"
    return MODELS.get(f"{method}, {shown}", MODELS.get(f"others, {shown}"))
'''


def model_text(name: str, model: AccuracyModel) -> str:
    """An entry of MODELS."""
    fields = "".join(f"        {key}={value!r},\n" for key, value in vars(model).items())
    return f'    "{name}": AccuracyModel(\n{fields}    ),\n'.replace("'", '"')


def old_rows() -> list[dict]:
    """The runs on features that results/ has."""
    return [r for r in read_results(NAME)["rows"] if r["group"].endswith("features") and r["n"] != FROZEN_ROWS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=540)
    given = parser.parse_args()
    rows = known_rows() + (new_rows(given.folder, given.seconds) if given.folder else old_rows())
    groups = {name: [r for r in rows if r["group"] == name] for name in sorted({r["group"] for r in rows})}
    found = {name: measure(of) for name, of in groups.items()}
    fitted = {name: fit_model(of) for name, of in groups.items()}
    models = {name: m for name, m in fitted.items() if found[name]["band_holds"] >= HOLDS and m.band <= WIDE}
    found = {name: of | {"band": fitted[name].band, "has_model": name in models} for name, of in found.items()}
    print(json.dumps(found, indent=1))
    MODELS.write_text(HEAD + "".join(model_text(*pair) for pair in models.items()) + TAIL)
    write_results(NAME, {"data": "each kind of data left out of its calibration", "groups": found, "rows": rows})


if __name__ == "__main__":
    main()
