"""How accuracy grows while a method trains.

    [SELFLABEL_DATA=...] python -m reproduce.curve SET METHOD [--epochs 40] [--seeds 1] [--every 1]

SET is as in reproduce/field.py. Truth scores the labels of each epoch and chooses nothing; scoring does not count as time. Writes
results/curve-SET-METHOD.json.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor

from reproduce.common import with_truth, write_results
from selflabel.base.settings import make_settings
from selflabel.contract import Data, Features, Method
from selflabel.evaluation.metrics import accuracy
from selflabel.items import open_items
from selflabel.jobs.build import make_method, make_task
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import prepare_for
from selflabel.methods import find_method
from selflabel.training.distributed import Ranks, pick_device
from selflabel.training.loop import LoopCallbacks, train


@torch.no_grad()
def labels_of_heads(method: Method, data: Data) -> list[Tensor]:
    """(N,) labels of each head: those that are trained on, or the predictions where a method trains on none."""
    labels = method.current_labels()
    if labels:
        return labels
    was_training = method.training
    method.eval()
    log_probs = method.predict(Features({m: data.features(m) for m in method.task.modalities})).log_probs
    method.train(was_training)
    return [p.argmax(dim=1) for p in log_probs]


def curve(source: str, name: str, k: int, epochs: int | None, seed: int, every: int) -> dict:
    """Seconds so far and mean and best accuracy of the heads, every so many epochs; and accuracy of the reported head."""
    device = pick_device("auto")
    settings = make_settings(source=source, clusters=k, method=name, encoder="scratch", epochs=epochs, seed=seed)
    make = find_method(name).make
    prepared = prepare_for(make, settings, device, Callbacks(), None)
    truth = np.array(open_items(source).truth)
    method = make_method(make, name, settings.options, make_task(settings, prepared, device), prepared, device)
    data = prepared.dataset(device, Ranks(), seed)
    data.encoders = method.encoders
    rows: list[dict] = []
    started, scoring = time.perf_counter(), 0.0

    def on_epoch(line: dict) -> None:
        nonlocal scoring
        if line["epoch"] % every:
            return
        now = time.perf_counter()
        scores = [accuracy(truth, x.cpu().numpy()) for x in labels_of_heads(method, data)]
        row = {"epoch": line["epoch"], "seconds": round(now - started - scoring, 1)}
        rows.append(row | {"mean": round(float(np.mean(scores)), 4), "best": round(max(scores), 4)})
        print(name, seed, rows[-1], flush=True)
        scoring += time.perf_counter() - now

    train(method, data, None, seed, LoopCallbacks(on_epoch=on_epoch))
    seconds = round(time.perf_counter() - started - scoring, 1)
    with torch.no_grad():
        outcome = method.eval().final(data, torch.Generator().manual_seed(seed))
    reported = round(accuracy(truth, outcome.labels[outcome.head].cpu().numpy()), 4)
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
    options = parser.parse_args()
    source, method = with_truth(options.set), options.method
    rows = [curve(source, method, options.k, options.epochs, seed, options.every) for seed in range(options.seeds)]
    write_results(f"curve-{options.set}-{method}", {"data": options.set, "method": method, "rows": rows})


if __name__ == "__main__":
    main()
