"""The baselines on the patterns that sela-nn starts from, instead of on pixels: how much of a result was there before training.

    [SELFLABEL_DATA=...] python -m reproduce.patterns SET [--limit N] [--seeds 0-4]

Writes results/patterns-SET.json.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

from reproduce.common import with_summary, with_truth, write_results
from reproduce.field import CLASSES, parse_seeds, set_title
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import score
from selflabel.jobs.label import label
from selflabel.jobs.prepare import prepare
from selflabel.training.distributed import Ranks

METHODS = ("kmeans", "spherical-kmeans", "umap-kmeans")


def patterns(source: str) -> tuple[np.ndarray, list[str]]:
    """(first features (N, D), truth) of a set of images."""
    device = torch.device("cpu")
    prepared = prepare(source, device, encoder="scratch")
    data = prepared.dataset(device, Ranks(), 0)
    data.encoders = nn.ModuleDict({"image": nn.Identity()})
    assert prepared.items.truth is not None
    return data.features("image", layer="input").numpy(), prepared.items.truth


def label_features(x: np.ndarray, truth: list[str], k: int, method: str, seed: int) -> dict:
    """A row for the results."""
    started = time.perf_counter()
    labelling = label(make_settings(source="array", clusters=k, method=method, seed=seed), None, data=x).labelling
    scores = score(truth, labelling.labels)
    seconds = round(time.perf_counter() - started, 1)
    return {"seed": seed, "accuracy": scores["accuracy"], "nmi": scores["nmi"], "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--limit", type=int, help="items of a real set")
    parser.add_argument("--seeds", type=parse_seeds, default="0-4")
    options = parser.parse_args()
    x, truth = patterns(with_truth(options.set, options.limit))
    rows = {m: [label_features(x, truth, CLASSES[options.set], m, seed) for seed in options.seeds] for m in METHODS}
    methods = {f"{m} on patterns": with_summary(of) for m, of in rows.items()}
    data = set_title(argparse.Namespace(set=options.set, limit=options.limit, encoder="scratch"))
    write_results(f"patterns-{options.set}", {"data": data, "budget": "nothing trained", "methods": methods})


if __name__ == "__main__":
    main()
