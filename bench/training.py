"""Training throughput with everything (views, heads, label solves, logging, checkpoints) over a bare loop.

The bare loop trains the same network, encoder and heads, by cross-entropy on the same resident tensors: gather a batch, scale it
to [0, 1], forward, backward, step, with the same optimiser, batch size and autocast, labels fixed. Both run as many epochs as
`label` would and are measured in turns, several times, in one process.

    python -m bench.training [mnist5k | FOLDER] [repeats]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from selflabel.base.settings import make_settings
from selflabel.contract import Phase
from selflabel.jobs.build import make_method, make_task
from selflabel.jobs.prepare import prepare
from selflabel.methods import find_method
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks, pick_device
from selflabel.training.loop import train
from selflabel.training.optimisers import make_optimiser


def build(source: str | np.ndarray, encoder: str = "scratch", epochs: int | None = None):
    """(method, data, phase) as `label` makes them. source: a folder, the name of a set, or photos (N, H, W, C)."""
    settings = make_settings(source="photos", clusters=10, options={"pretext_epochs": 0}, epochs=epochs)
    device = pick_device("auto")
    prepared = prepare(source, device, max_modalities=2, encoder=encoder)
    task = make_task(settings, prepared, device)
    method = make_method(find_method("sela-nn").make, "sela-nn", settings.options, task, prepared, device)
    data = prepared.dataset(device, Ranks(), 0)
    data.encoders = method.encoders
    return method, data, method.phases()[-1]


def whole_loop(source: str | np.ndarray, encoder: str = "scratch", epochs: int | None = None) -> float:
    """Items a second of the package's loop, with everything."""
    method, data, phase = build(source, encoder, epochs)
    with tempfile.TemporaryDirectory() as run:
        started = time.perf_counter()
        train(method, data, Path(run), 0)
        return data.n_items * phase.epochs / (time.perf_counter() - started)


def bare_loop(source: str | np.ndarray, encoder: str = "scratch", epochs: int | None = None) -> float:
    """Items a second of the bare loop."""
    method, data, phase = build(source, encoder, epochs)
    method.train()
    labels = torch.arange(data.n_items, device=data.device) % 10
    optimiser = make_optimiser(phase.recipe, list(method.parameters()))
    started = time.perf_counter()
    for _ in range(phase.epochs):
        bare_epoch(method, data, phase, labels, optimiser)
    if data.device.type == "cuda":
        torch.cuda.synchronize()
    return data.n_items * phase.epochs / (time.perf_counter() - started)


def bare_epoch(method, data: ResidentData, phase: Phase, labels: torch.Tensor, optimiser: torch.optim.Optimizer) -> None:
    for rows in torch.randperm(data.n_items).split(phase.batch_size):
        x = data.stored["image"].items[rows].to(data.device).float().div_(255)
        with data.autocast():
            scores = method.heads["image"](method.encoders["image"](x))
            loss = torch.stack([F.cross_entropy(s.float(), labels[rows]) for s in scores]).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "mnist5k"
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    bare_loop(source)  # warm: code, caches, clocks
    pairs = [(whole_loop(source), bare_loop(source)) for _ in range(repeats)]
    result = {
        "source": source,
        "everything_items_per_s": round(statistics.median(a for a, _ in pairs), 1),
        "bare_items_per_s": round(statistics.median(b for _, b in pairs), 1),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }
    print(json.dumps(result))
    (RESULTS / f"training-{source}.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
