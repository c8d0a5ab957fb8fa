"""Passes over the scores: a pass reads every row once, block by block, and solves over the same items share passes.

A solve never reads scores itself. It is a generator that yields `Pass` requests, and `run_concurrently` carries them out: where
several solves wait for passes over the same features, each block of features is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from selflabel.assignment.scores import LinearScores, Source, WithDummy, memory_key, row_blocks

T = TypeVar("T")


@dataclass(frozen=True)
class Pass:
    """A request to read all scores of a source once.

    Attributes:
        source: N x K scores.
        callback: called as `callback(rows, block)` with a slice of the rows and their (n, K) float32 scores. Each row of a block
            may be shifted by a constant of its own.
        one_block: pass a float32 matrix on as a single block.
    """

    source: Source
    callback: Callable[[slice, Tensor], None]
    one_block: bool = False


PassRequests = Generator[Pass, None, T]  # a generator that yields `Pass` requests and returns T


def run_concurrently(solves: Sequence[PassRequests[T]]) -> list[T]:
    """Run several solves, so that passes over the same items are made once for all of them.

    Passes over few items come first: a pass over all items waits until every solve has requested it or has ended.

    Args:
        solves: generators that yield `Pass` requests.

    Returns:
        What each generator returned, in the order of `solves`.
    """
    results: dict[int, T] = {}
    waiting: dict[int, Pass] = {}

    def resume(i: int) -> None:
        try:
            waiting[i] = next(solves[i])
        except StopIteration as end:
            waiting.pop(i, None)
            results[i] = end.value

    for i in range(len(solves)):
        resume(i)
    while waiting:
        smallest = min(waiting.values(), key=lambda p: p.source.shape[0]).source
        batch = [i for i, p in waiting.items() if memory_key(p.source) == memory_key(smallest)]
        run_passes([waiting[i] for i in batch])
        for i in batch:
            resume(i)
    return [results[i] for i in range(len(solves))]


def run_passes(passes: Sequence[Pass]) -> None:
    """Carry out passes over the same items, reading each block of features once for all of them."""
    passes = [without_dummy(p) for p in passes]
    linear = [p for p in passes if isinstance(p.source, LinearScores)]
    for p in passes:
        if isinstance(p.source, Tensor):
            run_matrix_pass(p, p.source)
    if linear:
        run_linear_passes(linear)


def without_dummy(p: Pass) -> Pass:
    """A pass over scores with a dummy column as one over the scores alone: each block is widened on its way to the callback."""
    source = p.source
    if not isinstance(source, WithDummy):
        return p
    return Pass(source.scores, lambda rows, block: p.callback(rows, source.widen(rows, block)))


def run_matrix_pass(p: Pass, scores: Tensor) -> None:
    """One pass over a score matrix. Other types than float32 are shifted to a row maximum of zero before the conversion."""
    N, K = scores.shape
    if p.one_block and scores.dtype == torch.float32:
        p.callback(slice(0, N), scores)
        return
    for rows in row_blocks(N, K):
        block = scores[rows]
        p.callback(rows, block if block.dtype == torch.float32 else (block - block.amax(dim=1, keepdim=True)).float())


def run_linear_passes(passes: Sequence[Pass]) -> None:
    """Passes over the same features by several heads: all products of a block are written to one buffer, one after another."""
    first, max_K = passes[0].source, max(p.source.shape[1] for p in passes)
    assert isinstance(first, LinearScores)
    blocks = row_blocks(first.shape[0], max_K)
    buffer = torch.empty((blocks[0].stop if blocks else 0) * max_K, device=first.device)
    for rows in blocks:
        n = rows.stop - rows.start
        features = torch.as_tensor(first.features[rows]).to(first.device, torch.float32)
        for p in passes:
            assert isinstance(p.source, LinearScores)
            K = p.source.shape[1]
            p.callback(rows, p.source.product(features, out=buffer[: n * K].view(n, K)))
