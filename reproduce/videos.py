"""Items with picture and sound: real clips of seven actions, handwritten and spoken digits, and spoken digits only.

For each set: sela-nn on all modalities and on each by itself; selavi in about the same time, with the paper's views and with
those of sela-nn; the paper's comparisons (features joined in one head, two sets of clusters matched afterwards, cross-modal deep
clustering, whose final labels are k-means of what it learned); and k-means on first features. Each with the scores of its labels
from one modality; and sela-nn and xdc on clips whose picture or sound gets worse.

    SELFLABEL_DATA=... python -m reproduce.videos [SET] [SEEDS] [VARIANT ...]

With variants given, only these run, and results/SET.json keeps its other rows.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from reproduce.common import kmeans_rows, label_and_score, read_results, unpack, with_summary, write_results
from selflabel.base.settings import make_settings
from selflabel.jobs.degrade import degrade
from selflabel.jobs.label import label
from selflabel.jobs.prepare import prepare
from selflabel.runs.run import Run
from selflabel.training.distributed import Ranks

CLUSTERS = {"ucf101_av7": 7, "mnist_fsdd": 10, "fsdd": 10}
DESCRIPTIONS = {
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
COMPARISON_SEEDS = 3
DEGRADED = ("sela-nn", "xdc and k-means")


def first_features(folder, truth) -> tuple[dict[str, np.ndarray], list[str]]:
    """Modality to (N, D) first features at unit length, zero where an item lacks it; and the truth in the same order."""
    prepared = prepare(str(folder), torch.device("cpu"), max_modalities=2, encoder="scratch")
    data = prepared.dataset(torch.device("cpu"), Ranks(), 0)
    data.encoders = torch.nn.ModuleDict({m: torch.nn.Identity() for m in prepared.modalities})
    features = {}
    for m in prepared.modalities:
        x = torch.nn.functional.normalize(data.features(m, layer="input"), dim=1)
        features[m] = (x * data.present[m][:, None]).numpy()
    return features, [truth[p] for p in prepared.items.paths]


def variants_of(name: str, modalities: list[str]) -> dict[str, dict]:
    """Variant to its settings, of a set."""
    variants: dict[str, dict] = {"sela-nn": {}}
    if len(modalities) > 1:
        variants |= {f"sela-nn, {m} alone": {"modality": m} for m in modalities}
        variants |= {variant: settings | {"epochs": EPOCHS[name]} for variant, settings in COMPARISONS.items()}
    return variants


def degradation(folder, truth: dict[str, str], k: int, settings: dict) -> dict[str, list[dict]]:
    """Modality to a run's scores as it gets worse, one seed."""
    with tempfile.TemporaryDirectory() as out:
        label(make_settings(source=str(folder), clusters=k, encoder="scratch", **settings), Path(out) / "run")
        run = Run.open(Path(out) / "run")
        classes = {row: truth[path] for row, path in enumerate(run.paths) if path in truth}
        return {m: [asdict(row) for row in degrade(run, m, classes)] for m in run.labels_by_modality}


def first_feature_rows(features: dict[str, np.ndarray], truth: list[str], k: int, seeds) -> dict[str, dict]:
    """Results of k-means on first features, of both modalities and of each."""
    joined = {"both": np.concatenate(list(features.values()), axis=1)} if len(features) > 1 else {}
    rows = {f"k-means on first features, {m}": kmeans_rows(x, truth, k, seeds) for m, x in (joined | features).items()}
    return {variant: with_summary(of) for variant, of in rows.items()}


def add(name: str, **sections: dict) -> None:
    """Write new rows beside those that results/NAME.json has."""
    old = read_results(name)
    merged = {section: old.get(section, {}) | rows for section, rows in ({"methods": {}} | sections).items()}
    others = {section: old[section] for section in ("degraded",) if section in old and section not in sections}
    write_results(name, {"data": DESCRIPTIONS[name], **merged, **others})


def main() -> None:
    name, *rest = sys.argv[1:] if len(sys.argv) > 1 else ["ucf101_av7"]
    seeds = range(int(rest[0])) if rest else range(5)
    folder, truth = unpack(name)
    k = CLUSTERS[name]
    features, classes = first_features(folder, truth)
    variants = variants_of(name, list(features))
    add(name, methods=first_feature_rows(features, classes, k, seeds))
    for variant in [v for v in variants if not rest[1:] or v in rest[1:]]:
        some = seeds[:COMPARISON_SEEDS] if variant in COMPARISONS else seeds
        rows = [label_and_score(folder, truth, clusters=k, seed=seed, **variants[variant]) for seed in some]
        add(name, methods={variant: with_summary(rows)})
        if name == "ucf101_av7" and variant in DEGRADED:
            add(name, degraded={variant: degradation(folder, truth, k, variants[variant])})


if __name__ == "__main__":
    main()
