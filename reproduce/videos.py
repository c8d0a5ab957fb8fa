"""Items that are seen and heard: real clips of seven actions, written and spoken digits, and spoken digits alone.

For each set: sela-nn on all modalities and on each alone, selavi in about the same time, and k-means on what a network is
shown at first (the mean picture and how much each place moves; the spectrogram).

    SELFLABEL_DATA=... python -m reproduce.videos [SET] [SEEDS]
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from reproduce.common import kmeans_rows, measured, summary, unpacked, write_results
from selflabel.preparing import Notices, prepare
from selflabel.settings import make_settings
from selflabel.training.distributed import Ranks

SETS = {"ucf101_av7": 7, "mnist_fsdd": 10, "fsdd": 10}
SELAVI_EPOCHS = {"ucf101_av7": 40, "mnist_fsdd": 20}


def first_inputs(folder, truth) -> tuple[dict[str, np.ndarray], list[str]]:
    """What networks are shown, shrunk and flattened, a modality; and the truth in the same order."""
    made = prepare(make_settings(source=str(folder)), torch.device("cpu"), Notices(), most=2)
    data = made.data(torch.device("cpu"), Ranks(), 0)
    data.encoders = torch.nn.ModuleDict({m: torch.nn.Identity() for m in made.parts})
    found = {}
    for m in made.parts:
        x = torch.nn.functional.normalize(data.features(m, layer="input"), dim=1)
        found[m] = (x * data.present[m][:, None]).numpy()
    return found, [truth[p] for p in made.items.paths]


def main() -> None:
    names = [sys.argv[1]] if len(sys.argv) > 1 else list(SETS)
    seeds = range(int(sys.argv[2])) if len(sys.argv) > 2 else range(5)
    for name in names:
        folder, truth = unpacked(name)
        k = SETS[name]
        inputs, known = first_inputs(folder, truth)
        methods = {}
        ways = {"sela-nn": {}}
        if len(inputs) > 1:
            ways |= {f"sela-nn, {m} alone": {"modality": m} for m in inputs}
            ways["selavi"] = {"method": "selavi", "epochs": SELAVI_EPOCHS[name]}
        for way, given in ways.items():
            rows = [measured(folder, truth, clusters=k, seed=seed, **given) for seed in seeds]
            methods[way] = {"summary": summary(rows), "rows": rows}
        joined = {"both": np.concatenate(list(inputs.values()), axis=1)} if len(inputs) > 1 else {}
        for m, x in (joined | inputs).items():
            rows = kmeans_rows(x, known, k, seeds)
            methods[f"k-means on first inputs, {m}"] = {"summary": summary(rows), "rows": rows}
        write_results(name, {"data": f"{name}, {len(known)} items", "methods": methods})


if __name__ == "__main__":
    main()
