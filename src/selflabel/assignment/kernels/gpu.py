"""The kernels in Triton, for CUDA: scores are read once per evaluation, a tile of rows at a time, and never written.

A program processes every n-th tile and keeps column sums of its own in registers, so that nothing is added atomically and an
evaluation repeats bit for bit. What is called rarely, or on few entries, is left to plain torch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from selflabel.assignment.kernels import reference
from selflabel.assignment.kernels.reference import pack, sparse_kernel, sparse_sums

__all__ = ["dense_kernel", "dense_sums", "pack", "packed_sums", "score_sums", "sparse_kernel", "sparse_sums"]

TILE_ENTRIES = 4096
MAX_LABELS = 1 << 14  # with more, a row does not fit in registers
PROGRAMS_PER_PROCESSOR = 4


@triton.jit
def logit_tiles(
    scores,
    scales,
    v,
    labels,
    sums,
    logs,
    N,
    K,
    per_epsilon,
    R: tl.constexpr,
    W: tl.constexpr,
    PACKED: tl.constexpr,
    LABELS: tl.constexpr,
):
    """Soft-label sums over tiles of R rows and W >= K columns: of float scores, or of 16-bit ones with a scale per row."""
    program, columns = tl.program_id(0), tl.arange(0, W)
    inside = columns < K
    shift = tl.load(v + columns, mask=inside, other=float("-inf"))
    part, log = tl.zeros([R, W], tl.float32), tl.zeros([R], tl.float64)
    for first in range(program * R, N, tl.num_programs(0) * R):
        rows = first + tl.arange(0, R)
        valid = rows < N
        offsets = rows.to(tl.int64)[:, None] * K + columns[None, :]
        x = tl.load(scores + offsets, mask=valid[:, None] & inside[None, :], other=0)
        if PACKED:
            x = (x.to(tl.int32) & 0xFFFF).to(tl.float32) * tl.load(scales + rows, mask=valid, other=1.0)[:, None]
        x = x.to(tl.float32) + shift[None, :]
        peak = tl.max(x, axis=1)
        if LABELS:
            tl.store(labels + rows, tl.argmax(x, axis=1).to(tl.int64), mask=valid)
        soft = tl.exp((x - peak[:, None]) * per_epsilon)
        z = tl.sum(soft, axis=1)
        part += tl.where(valid[:, None], soft / z[:, None], 0.0)
        log += tl.where(valid, peak.to(tl.float64) * per_epsilon + tl.log(z).to(tl.float64), 0.0)
    slots = program * R + tl.arange(0, R)
    tl.store(sums + slots[:, None] * W + columns[None, :], part)
    tl.store(logs + slots, log)


@triton.jit
def dense_tiles(kernel, scale, sums, logs, N, K, R: tl.constexpr, W: tl.constexpr):
    """The same over tiles of a stored kernel, whose columns are scaled."""
    program, columns = tl.program_id(0), tl.arange(0, W)
    inside = columns < K
    b = tl.load(scale + columns, mask=inside, other=0.0)
    part, log = tl.zeros([R, W], tl.float32), tl.zeros([R], tl.float64)
    for first in range(program * R, N, tl.num_programs(0) * R):
        rows = first + tl.arange(0, R)
        valid = rows < N
        offsets = rows.to(tl.int64)[:, None] * K + columns[None, :]
        soft = tl.load(kernel + offsets, mask=valid[:, None] & inside[None, :], other=0.0).to(tl.float32) * b[None, :]
        z = tl.where(valid, tl.sum(soft, axis=1), 1.0)
        part += soft / z[:, None]
        log += tl.log(z).to(tl.float64)
    slots = program * R + tl.arange(0, R)
    tl.store(sums + slots[:, None] * W + columns[None, :], part)
    tl.store(logs + slots, log)


def score_sums(block: Tensor, v: Tensor, epsilon: float, labels: Tensor | None = None) -> tuple[Tensor, float]:
    if len(v) > MAX_LABELS:
        return reference.score_sums(block, v, epsilon, labels)
    tiling, block = Tiling(block), block.contiguous()
    shift, unused = v.to(block.device, torch.float32), block.new_empty(0)
    pointers = block, unused, shift, unused if labels is None else labels
    flags = {"PACKED": False, "LABELS": labels is not None}
    logit_tiles[tiling.programs,](*pointers, *tiling.outputs(), 1 / epsilon, **tiling.constants(), **flags)
    return tiling.totals()


def packed_sums(packed: Tensor, scales: Tensor, v: Tensor, epsilon: float) -> tuple[Tensor, float]:
    if len(v) > MAX_LABELS:
        return reference.packed_sums(packed, scales, v, epsilon)
    tiling, shift = Tiling(packed), v.to(packed.device, torch.float32)
    pointers, flags = (packed, scales, shift, scales), {"PACKED": True, "LABELS": False}
    logit_tiles[tiling.programs,](*pointers, *tiling.outputs(), 1 / epsilon, **tiling.constants(), **flags)
    return tiling.totals()


def dense_kernel(block: Tensor, v: Tensor, epsilon: float, out: Tensor) -> float:
    """In parts, so that torch's temporary tensors stay small."""
    rows = max(1, reference.CHUNK_PACKED // block.shape[1])
    return sum(reference.dense_kernel(b, v, epsilon, o) for b, o in zip(block.split(rows), out.split(rows)))


def dense_sums(kernel: Tensor, x: Tensor) -> tuple[Tensor, float]:
    if len(x) > MAX_LABELS:
        return reference.dense_sums(kernel, x)
    top, tiling = float(x.max()), Tiling(kernel)
    scale = torch.exp(x - top).to(kernel.device, torch.float32)
    dense_tiles[tiling.programs,](kernel, scale, *tiling.outputs(), **tiling.constants())
    sums, logs = tiling.totals()
    return sums, logs + len(kernel) * top


class Tiling:
    """How (N, K) entries are divided into tiles of (R, W), and the buffers for the programs' sums."""

    def __init__(self, entries: Tensor):
        (self.N, self.K), device = entries.shape, entries.device
        self.W = triton.next_power_of_2(self.K)
        self.R = max(1, TILE_ENTRIES // self.W)
        processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
        self.programs = max(1, min(PROGRAMS_PER_PROCESSOR * processors, triton.cdiv(self.N, self.R)))
        self.sums = torch.empty(self.programs * self.R, self.W, device=device)
        self.logs = torch.empty(self.programs * self.R, dtype=torch.float64, device=device)

    def outputs(self) -> tuple:
        return self.sums, self.logs, self.N, self.K

    def constants(self) -> dict[str, int]:
        return {"R": self.R, "W": self.W, "num_warps": max(4, min(32, self.R * self.W // 512))}

    def totals(self) -> tuple[Tensor, float]:
        return self.sums.double().sum(dim=0)[: self.K].cpu(), float(self.logs.sum())
