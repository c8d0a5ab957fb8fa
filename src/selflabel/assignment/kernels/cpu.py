"""The kernels for CPUs: the compiled loops of `cpu_loops`, over all cores. The same functions as in `reference`.

Threads are Python's own: the loops release the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.kernels.cpu_loops import (
    NO_LABELS,
    NO_SCALES,
    dense_rows,
    f32,
    fill_dense,
    fill_packed,
    score_rows,
    select_entries,
    sparse_rows,
)
from selflabel.assignment.kernels.reference import column_type

ENTRY_BUFFER = 1 << 20  # selected entries that memory is allocated for at a time


def score_sums(block: Tensor, v: Tensor, epsilon: float, labels: Tensor | None = None) -> tuple[Tensor, float]:
    scores, shift, scale = RowBlock(block), v.float().numpy(), f32(1 / epsilon)
    out = NO_LABELS if labels is None else labels.numpy()
    return sum_over_rows(
        lambda rows, sums: score_rows(*scores[rows], NO_SCALES, shift, scale, sums, out[rows]), len(block), len(v)
    )


def dense_kernel(block: Tensor, v: Tensor, epsilon: float, out: Tensor) -> float:
    scores, shift, stored, scale = RowBlock(block), v.float().numpy(), as_uint16(out), f32(1 / epsilon)
    return sum(in_threads(lambda rows: fill_dense(*scores[rows], shift, scale, stored[rows]), len(block)))


def dense_sums(kernel: Tensor, x: Tensor) -> tuple[Tensor, float]:
    top = float(x.max())
    stored, scale = as_uint16(kernel), torch.exp(x - top).float().numpy()
    sums, logs = sum_over_rows(lambda rows, sums: dense_rows(stored[rows], scale, sums), len(stored), len(x))
    return sums, logs + len(stored) * top


def pack(block: Tensor, out: Tensor, scales: Tensor) -> None:
    scores, stored, steps = RowBlock(block), as_uint16(out), scales.numpy()
    in_threads(lambda rows: fill_packed(*scores[rows], stored[rows], steps[rows]), len(block))


def packed_sums(packed: Tensor, scales: Tensor, v: Tensor, epsilon: float) -> tuple[Tensor, float]:
    stored, steps, shift, scale = as_uint16(packed), scales.numpy(), v.float().numpy(), f32(1 / epsilon)
    return sum_over_rows(
        lambda rows, sums: score_rows(stored[rows], 1, steps[rows], shift, scale, sums, NO_LABELS), len(stored), len(v)
    )


def sparse_kernel(
    block: Tensor, v: Tensor, epsilon: float, cutoff: float, leeway: Tensor, scales: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, float]:
    (n, K), scores = block.shape, RowBlock(block) if scales is None else None
    kind, size = column_type(K), max(ENTRY_BUFFER, K)
    stored, steps = (np.empty((0, K), np.uint16), NO_SCALES) if scales is None else (as_uint16(block), scales.numpy())
    numbers = v.float().numpy(), (epsilon * leeway).float().numpy(), f32(1 / epsilon), f32(epsilon * cutoff)
    counts = torch.empty(n, dtype=torch.int64)

    def select(rows: slice) -> tuple[list[Tensor], list[Tensor], float]:
        columns, logs, peaks, first = [], [], 0.0, rows.start
        while first < rows.stop:
            left = slice(first, rows.stop)
            given = (*scores[left], NO_SCALES) if scores is not None else (stored[left], 1, steps[left])
            c, x = torch.empty(size, dtype=kind), torch.empty(size)
            n_rows, n_entries, peak = select_entries(*given, *numbers, counts[left].numpy(), c.numpy(), x.numpy())
            first, peaks = first + n_rows, peaks + peak
            columns.append(c[:n_entries].clone())
            logs.append(x[:n_entries].clone())
        return columns, logs, peaks

    columns, logs, peaks = zip(*in_threads(select, n))
    return counts, torch.cat(list(chain(*columns))), torch.cat(list(chain(*logs))), sum(peaks) / epsilon


def sparse_sums(starts: Tensor, columns: Tensor, logs: Tensor, x: Tensor) -> tuple[Tensor, float]:
    first, labels, entries, shift = starts.numpy(), columns.numpy(), logs.numpy(), x.float().numpy()
    return sum_over_rows(
        lambda rows, sums: sparse_rows(first[rows.start : rows.stop + 1], labels, entries, shift, sums), len(first) - 1, len(x)
    )


def sum_over_rows(loop: Callable[[slice, np.ndarray], float], n: int, K: int) -> tuple[Tensor, float]:
    """Sums (K,) and logs of all n rows; each thread adds its rows to sums of its own."""

    def work(rows: slice) -> tuple[np.ndarray, float]:
        sums = np.zeros(K)
        return sums, loop(rows, sums)

    parts = in_threads(work, n)
    return torch.from_numpy(sum(s for s, _ in parts)), sum(logs for _, logs in parts)


def in_threads(work: Callable[[slice], Any], n: int) -> list[Any]:
    """work(rows) for as many slices of n rows as torch has threads, in order."""
    threads = max(1, min(torch.get_num_threads(), n))
    slices = [slice(t * n // threads, (t + 1) * n // threads) for t in range(threads)]
    if threads == 1:
        return [work(slices[0])]
    return list(pool(threads).map(work, slices))


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="assignment")


class RowBlock:
    """A block of scores as the loops read it: memory of K columns, of which every step-th row is a row of the block."""

    def __init__(self, block: Tensor):
        x = block.detach().float()
        n, K = x.shape
        is_strided = n > 1 and x.stride(1) == 1 and x.stride(0) % K == 0 and x.stride(0) > 0
        self.step = x.stride(0) // K if is_strided else 1
        self.memory = (x.as_strided(((n - 1) * self.step + 1, K), (K, 1)) if is_strided else x.contiguous()).numpy()

    def __getitem__(self, rows: slice) -> tuple[np.ndarray, int]:
        return self.memory[rows.start * self.step : max(0, (rows.stop - 1) * self.step + 1)], self.step


def as_uint16(x: Tensor) -> np.ndarray:
    """Two-byte numbers as the unsigned integers that numba can read."""
    return x.view(torch.int16).numpy().view(np.uint16)
