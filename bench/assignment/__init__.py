"""Benchmarks of the solver: against the published recursion, other packages and the machine's memory rate, and at size."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from selflabel.assignment import LinearScores

RESULTS = Path(__file__).parents[2] / "results"
SCALES = (3.5, 5.0, 8.0, 12.0, 20.0)  # mean top probability .03, .1, .5, .9, .99 at 1,000 labels and 64 dimensions


def trained(n: int, k: int, scale: float, seed: int, d: int = 64) -> LinearScores:
    """Scores like those of a trained network: items around k centres of uneven popularity, and a head that knows the centres.

    Args:
        n: items.
        k: labels.
        scale: of the head's weight; higher is sharper (`SCALES`).
        seed: of everything random.
        d: dimensions of the features.
    """
    g = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(k, d, generator=g), dim=1)
    popularity = torch.exp(0.8 * torch.randn(k, generator=g))
    of = torch.multinomial(popularity / popularity.sum(), n, replacement=True, generator=g)
    x = torch.randn(n, d, generator=g).mul_(d**-0.5)
    for rows in torch.arange(n).split(1 << 16):
        x[rows] += centres[of[rows]]
    return LinearScores(x, scale * centres, 0.5 * torch.randn(k, generator=g))


def mean_top(scores: Tensor) -> float:
    """Mean top probability of the first rows of scores (N, K): how sharp they are, 1 / K to 1."""
    return float(torch.softmax(scores[:4000], dim=1).amax(dim=1).mean())


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds that a call took, and its result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


class Peak:
    """The most memory, without mapped files, that the process held within a `with`: `gigabytes`, sampled every 10 ms."""

    def __enter__(self) -> Peak:
        self.gigabytes, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while not self.ended.wait(0.01):
            text = Path("/proc/self/status").read_text()
            self.gigabytes = max(self.gigabytes, int(text.split("RssAnon:")[1].split()[0]) / 2**20)

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def write(name: str, content: dict) -> None:
    """Write results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
