"""What first features give by themselves: the baselines on the patterns that sela-nn begins from, instead of on pixels.

    [SELFLABEL_DATA=...] python -m reproduce.patterns SET [--limit N] [--seeds 0-4]

Says how much of a result is the network's, and how much was there before it. Writes results/patterns-SET.json.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

from reproduce.common import summary, with_truth, write_results
from reproduce.field import CLASSES, seeds_of, titled
from selflabel.base.settings import make_settings
from selflabel.evaluation.metrics import score
from selflabel.jobs.label import label
from selflabel.jobs.prepare import Notices, prepare
from selflabel.training.distributed import Ranks

WAYS = ("kmeans", "spherical-kmeans", "umap-kmeans")


def patterns(source: str) -> tuple[np.ndarray, list[str]]:
    """((N, D) first features of a set's pictures, their truth)."""
    device = torch.device("cpu")
    prepared = prepare(make_settings(source=source), device, Notices())
    data = prepared.data(device, Ranks(), 0)
    data.encoders = nn.ModuleDict({"image": nn.Identity()})
    assert prepared.items.truth is not None
    return data.features("image", layer="input").numpy(), prepared.items.truth


def one(x: np.ndarray, truth: list[str], k: int, method: str, seed: int) -> dict:
    started = time.perf_counter()
    found = label(make_settings(source="array", clusters=k, method=method, seed=seed), None, data=x)["labelling"]
    scores = score(truth, found.labels)
    seconds = round(time.perf_counter() - started, 1)
    return {"seed": seed, "accuracy": scores["accuracy"], "nmi": scores["nmi"], "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("--limit", type=int, help="items of a real set")
    parser.add_argument("--seeds", type=seeds_of, default="0-4")
    given = parser.parse_args()
    x, truth = patterns(with_truth(given.set, given.limit))
    made = {way: [one(x, truth, CLASSES[given.set], way, seed) for seed in given.seeds] for way in WAYS}
    methods = {f"{way} on patterns": {"summary": summary(rows), "rows": rows} for way, rows in made.items()}
    data = titled(argparse.Namespace(set=given.set, limit=given.limit, encoder="auto"))
    write_results(f"patterns-{given.set}", {"data": data, "budget": "nothing trained", "methods": methods})


if __name__ == "__main__":
    main()
