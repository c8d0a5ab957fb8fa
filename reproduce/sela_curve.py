"""SeLa as published beside sela-nn on MNIST-5k: accuracy of the heads after every epoch.

Truth only scores the labels that training had at each solve; it chooses nothing.

    python -m reproduce.sela_curve
"""

from __future__ import annotations

import time

import numpy as np
import torch

from reproduce.common import write_results
from selflabel.evaluation.metrics import accuracy
from selflabel.items import open_items
from selflabel.labelling import make_method, make_task
from selflabel.methods import find_method
from selflabel.preparing import Notices, prepare
from selflabel.settings import make_settings
from selflabel.training.distributed import Ranks
from selflabel.training.loop import Watch, train

SEEDS = (0,)
EPOCHS = {"sela": 40, "sela-nn": 13}


def curve(name: str, seed: int) -> list[dict]:
    """A row an epoch: seconds so far, and the mean and best accuracy of the heads' training labels."""
    settings = make_settings(source="mnist5k", clusters=10, method=name, epochs=EPOCHS[name], seed=seed)
    prepared = prepare(settings, torch.device("cpu"), Notices())
    truth = np.array(open_items("mnist5k").truth)
    task = make_task(settings, prepared, torch.device("cpu"))
    method = make_method(find_method(name).make, settings, task, prepared, torch.device("cpu"))
    data = prepared.data(torch.device("cpu"), Ranks(), seed)
    data.encoders = method.encoders
    rows, started = [], time.perf_counter()

    def on_epoch(line: dict) -> None:
        found = [accuracy(truth, x.numpy()) for x in method.current_labels()]
        seconds = round(time.perf_counter() - started, 1)
        rows.append(
            {"epoch": line["epoch"], "seconds": seconds, "mean": round(float(np.mean(found)), 4), "best": round(max(found), 4)}
        )

    train(method, data, None, seed, Watch(on_epoch=on_epoch))
    print(name, seed, rows[-1], flush=True)
    return rows


def main() -> None:
    curves = {name: {seed: curve(name, seed) for seed in SEEDS} for name in EPOCHS}
    write_results("sela-curve", {"data": "MNIST-5k, 28 px, the network of `auto`", "curves": curves})


if __name__ == "__main__":
    main()
