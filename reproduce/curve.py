"""How accuracy grows while a method trains.

    [SELFLABEL_DATA=...] python -m reproduce.curve SET METHOD [--epochs 40] [--seeds 1] [--every 1]

SET is as in reproduce/field.py. Truth scores the labels that a method has after an epoch and chooses nothing; scoring does not
count as time. Writes results/curve-SET-METHOD.json.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor

from reproduce.common import with_truth, write_results
from selflabel.base.settings import make_settings
from selflabel.contract import Data, Method
from selflabel.evaluation.metrics import accuracy
from selflabel.items import open_items
from selflabel.jobs.label import make_method, make_task
from selflabel.jobs.prepare import Notices, prepare
from selflabel.methods import find_method
from selflabel.training.distributed import Ranks, pick_device
from selflabel.training.loop import Watch, train


@torch.no_grad()
def labels_now(method: Method, data: Data) -> list[Tensor]:
    """Each head's labels: those trained on, or where a method trains on none what its heads say."""
    trained_on = method.current_labels()
    if trained_on:
        return trained_on
    was = method.training
    method.eval()
    log_probs = method.predict({m: data.features(m) for m in method.task.modalities}).log_probs
    method.train(was)
    return [p.argmax(dim=1) for p in log_probs]


def curve(source: str, name: str, k: int, epochs: int | None, seed: int, every: int) -> dict:
    """A row every so many epochs: seconds so far, and the mean and best accuracy of the heads; and of the reported head."""
    device = pick_device("auto")
    settings = make_settings(source=source, clusters=k, method=name, epochs=epochs, seed=seed)
    prepared = prepare(settings, device, Notices())
    truth = np.array(open_items(source).truth)
    method = make_method(find_method(name).make, settings, make_task(settings, prepared, device), prepared, device)
    data = prepared.data(device, Ranks(), seed)
    data.encoders = method.encoders
    rows: list[dict] = []
    started, scoring = time.perf_counter(), 0.0

    def on_epoch(line: dict) -> None:
        nonlocal scoring
        if line["epoch"] % every:
            return
        now = time.perf_counter()
        found = [accuracy(truth, x.cpu().numpy()) for x in labels_now(method, data)]
        row = {"epoch": line["epoch"], "seconds": round(now - started - scoring, 1)}
        rows.append(row | {"mean": round(float(np.mean(found)), 4), "best": round(max(found), 4)})
        print(name, seed, rows[-1], flush=True)
        scoring += time.perf_counter() - now

    train(method, data, None, seed, Watch(on_epoch=on_epoch))
    seconds = round(time.perf_counter() - started - scoring, 1)
    with torch.no_grad():
        final = method.eval().final(data, torch.Generator().manual_seed(seed))
    reported = round(accuracy(truth, final.labels[final.head].cpu().numpy()), 4)
    print(name, seed, "reported", reported, seconds, flush=True)
    return {"seed": seed, "reported": reported, "seconds": seconds, "epochs": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("method")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    source = with_truth(asked.set)
    rows = [curve(source, asked.method, asked.k, asked.epochs, seed, asked.every) for seed in range(asked.seeds)]
    write_results(f"curve-{asked.set}-{asked.method}", {"data": asked.set, "method": asked.method, "rows": rows})


if __name__ == "__main__":
    main()
