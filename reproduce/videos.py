"""Items that are seen and heard: real clips of seven actions, written and spoken digits, and spoken digits alone.

For each set: sela-nn on all modalities and on each alone; selavi in about the same time, with the paper's views and with those of
sela-nn; the paper's comparisons (features joined in one head, two sets of clusters matched afterwards, cross-modal deep
clustering, whose finished labelling is k-means of what it learned); and k-means on first features. Beside each, what its labels
score from one modality alone; and how both sela-nn and xdc bear clips whose picture or sound gets worse.

    SELFLABEL_DATA=... python -m reproduce.videos [SET] [SEEDS] [WAY ...]

With ways named, only these are run, and results/SET.json keeps its other rows.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from reproduce.common import kmeans_rows, measured, read_results, summary, unpacked, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.degrade import degraded
from selflabel.jobs.label import label
from selflabel.jobs.prepare import Notices, prepare
from selflabel.runs.run import Run
from selflabel.training.distributed import Ranks

SETS = {"ucf101_av7": 7, "mnist_fsdd": 10, "fsdd": 10}
WHAT = {
    "ucf101_av7": "278 clips with sound, seven actions of UCF-101",
    "mnist_fsdd": "3,000 digits, each written and spoken",
    "fsdd": "3,000 spoken digits, six speakers",
}
COMPARISONS = {
    "selavi": {"method": "selavi"},
    "selavi, colours changed too": {"method": "selavi", "views": "video"},
    "selavi, heads with a hidden layer": {"method": "selavi", "options": {"hidden": 512}},
    "selavi, features joined in one head": {"method": "selavi", "options": {"labels": "joined"}},
    "selavi, two sets of clusters matched": {"method": "selavi", "options": {"labels": "apart"}},
    "xdc and k-means": {"method": "xdc"},
}
EPOCHS = {"ucf101_av7": 30, "mnist_fsdd": 15}  # of the comparisons: about as long as sela-nn takes
COMPARED_SEEDS = 3
DEGRADED = ("sela-nn", "xdc and k-means")


def first_inputs(folder, truth) -> tuple[dict[str, np.ndarray], list[str]]:
    """First features of each modality, and the truth in the same order."""
    made = prepare(make_settings(source=str(folder)), torch.device("cpu"), Notices(), most=2)
    data = made.data(torch.device("cpu"), Ranks(), 0)
    data.encoders = torch.nn.ModuleDict({m: torch.nn.Identity() for m in made.parts})
    found = {}
    for m in made.parts:
        x = torch.nn.functional.normalize(data.features(m, layer="input"), dim=1)
        found[m] = (x * data.present[m][:, None]).numpy()
    return found, [truth[p] for p in made.items.paths]


def ways_of(name: str, modalities: list[str]) -> dict[str, dict]:
    """What is run on a set."""
    ways: dict[str, dict] = {"sela-nn": {}}
    if len(modalities) > 1:
        ways |= {f"sela-nn, {m} alone": {"modality": m} for m in modalities}
        ways |= {way: given | {"epochs": EPOCHS[name]} for way, given in COMPARISONS.items()}
    return ways


def degradation(folder, truth: dict[str, str], k: int, given: dict) -> dict[str, list[dict]]:
    """A run's scores as each modality gets worse, one seed."""
    with tempfile.TemporaryDirectory() as out:
        label(make_settings(source=str(folder), clusters=k, **given), Path(out) / "run")
        run = Run.open(Path(out) / "run")
        return {m: [asdict(row) for row in degraded(run, m, truth)] for m in run.alone}


def first_rows(inputs: dict[str, np.ndarray], known: list[str], k: int, seeds) -> dict[str, dict]:
    """k-means on first features."""
    joined = {"both": np.concatenate(list(inputs.values()), axis=1)} if len(inputs) > 1 else {}
    found = {f"k-means on first features, {m}": kmeans_rows(x, known, k, seeds) for m, x in (joined | inputs).items()}
    return {way: {"summary": summary(rows), "rows": rows} for way, rows in found.items()}


def add(name: str, **parts: dict) -> None:
    """Put new rows beside those that are in results/NAME.json."""
    old = read_results(name)
    merged = {part: old.get(part, {}) | rows for part, rows in ({"methods": {}} | parts).items()}
    kept = {part: old[part] for part in ("degraded",) if part in old and part not in parts}
    write_results(name, {"data": WHAT[name], **merged, **kept})


def main() -> None:
    name, *rest = sys.argv[1:] if len(sys.argv) > 1 else ["ucf101_av7"]
    seeds = range(int(rest[0])) if rest else range(5)
    folder, truth = unpacked(name)
    k = SETS[name]
    inputs, known = first_inputs(folder, truth)
    ways = ways_of(name, list(inputs))
    asked = [way for way in ways if not rest[1:] or way in rest[1:]]
    add(name, methods=first_rows(inputs, known, k, seeds))
    for way in asked:
        some = seeds[:COMPARED_SEEDS] if way in COMPARISONS else seeds
        rows = [measured(folder, truth, clusters=k, seed=seed, **ways[way]) for seed in some]
        add(name, methods={way: {"summary": summary(rows), "rows": rows}})
        if name == "ucf101_av7" and way in DEGRADED:
            add(name, degraded={way: degradation(folder, truth, k, ways[way])})


if __name__ == "__main__":
    main()
