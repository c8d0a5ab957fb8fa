"""The passes in Triton, for CUDA: scores are read once a turn, a tile of rows at a time, and never written.

A program takes every so-many-th tile and keeps column sums of its own in registers, so that nothing is added atomically and
a turn repeats bit for bit. What is read rarely, or is small, is left to plain torch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from selflabel.assignment.kernels import reference
from selflabel.assignment.kernels.reference import pack, sparse_kernel, sparse_turn

__all__ = ["dense_kernel", "dense_turn", "pack", "packed_turn", "score_turn", "sparse_kernel", "sparse_turn"]

TILE = 4096  # entries of a tile
WIDEST = 1 << 14  # labels above which a row does not fit in registers
PROGRAMS = 4  # for each multiprocessor


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
    """Tiles of R rows and W >= K columns: float scores, or 16-bit ones with a scale a row."""
    program, columns = tl.program_id(0), tl.arange(0, W)
    inside = columns < K
    shift = tl.load(v + columns, mask=inside, other=float("-inf"))
    part, log = tl.zeros([R, W], tl.float32), tl.zeros([R], tl.float64)
    for first in range(program * R, N, tl.num_programs(0) * R):
        rows = first + tl.arange(0, R)
        real = rows < N
        at = rows.to(tl.int64)[:, None] * K + columns[None, :]
        x = tl.load(scores + at, mask=real[:, None] & inside[None, :], other=0)
        if PACKED:
            x = (x.to(tl.int32) & 0xFFFF).to(tl.float32) * tl.load(scales + rows, mask=real, other=1.0)[:, None]
        x = x.to(tl.float32) + shift[None, :]
        peak = tl.max(x, axis=1)
        if LABELS:
            tl.store(labels + rows, tl.argmax(x, axis=1).to(tl.int64), mask=real)
        soft = tl.exp((x - peak[:, None]) * per_epsilon)
        z = tl.sum(soft, axis=1)
        part += tl.where(real[:, None], soft / z[:, None], 0.0)
        log += tl.where(real, peak.to(tl.float64) * per_epsilon + tl.log(z).to(tl.float64), 0.0)
    out = program * R + tl.arange(0, R)
    tl.store(sums + out[:, None] * W + columns[None, :], part)
    tl.store(logs + out, log)


@triton.jit
def dense_tiles(kernel, scale, sums, logs, N, K, R: tl.constexpr, W: tl.constexpr):
    """Tiles of stored exponentials, scaled by label."""
    program, columns = tl.program_id(0), tl.arange(0, W)
    inside = columns < K
    b = tl.load(scale + columns, mask=inside, other=0.0)
    part, log = tl.zeros([R, W], tl.float32), tl.zeros([R], tl.float64)
    for first in range(program * R, N, tl.num_programs(0) * R):
        rows = first + tl.arange(0, R)
        real = rows < N
        at = rows.to(tl.int64)[:, None] * K + columns[None, :]
        soft = tl.load(kernel + at, mask=real[:, None] & inside[None, :], other=0.0).to(tl.float32) * b[None, :]
        z = tl.where(real, tl.sum(soft, axis=1), 1.0)
        part += soft / z[:, None]
        log += tl.log(z).to(tl.float64)
    out = program * R + tl.arange(0, R)
    tl.store(sums + out[:, None] * W + columns[None, :], part)
    tl.store(logs + out, log)


def score_turn(block: Tensor, v: Tensor, epsilon: float, labels: Tensor | None = None) -> tuple[Tensor, float]:
    if len(v) > WIDEST:
        return reference.score_turn(block, v, epsilon, labels)
    room, block = Room(block), block.contiguous()
    shift, none = v.to(block.device, torch.float32), block.new_empty(0)
    found = none if labels is None else labels
    with_labels = labels is not None
    logit_tiles[room.programs,](
        block, none, shift, found, *room.out(), 1 / epsilon, **room.tile(), PACKED=False, LABELS=with_labels
    )
    return room.found()


def packed_turn(packed: Tensor, scales: Tensor, v: Tensor, epsilon: float) -> tuple[Tensor, float]:
    if len(v) > WIDEST:
        return reference.packed_turn(packed, scales, v, epsilon)
    room, shift = Room(packed), v.to(packed.device, torch.float32)
    logit_tiles[room.programs,](packed, scales, shift, scales, *room.out(), 1 / epsilon, **room.tile(), PACKED=True, LABELS=False)
    return room.found()


def dense_kernel(block: Tensor, v: Tensor, epsilon: float, out: Tensor) -> float:
    """In parts, so that what torch needs on the way stays small."""
    rows = max(1, (1 << 24) // block.shape[1])
    return sum(reference.dense_kernel(b, v, epsilon, o) for b, o in zip(block.split(rows), out.split(rows)))


def dense_turn(kernel: Tensor, x: Tensor) -> tuple[Tensor, float]:
    if len(x) > WIDEST:
        return reference.dense_turn(kernel, x)
    top, room = float(x.max()), Room(kernel)
    dense_tiles[room.programs,](kernel, torch.exp(x - top).to(kernel.device, torch.float32), *room.out(), **room.tile())
    sums, logs = room.found()
    return sums, logs + len(kernel) * top


class Room:
    """How (N, K) entries are cut into tiles of (R, W), and where programs leave their sums."""

    def __init__(self, entries: Tensor):
        (self.N, self.K), device = entries.shape, entries.device
        self.W = triton.next_power_of_2(self.K)
        self.R = max(1, TILE // self.W)
        processors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
        self.programs = max(1, min(PROGRAMS * processors, triton.cdiv(self.N, self.R)))
        self.sums = torch.empty(self.programs * self.R, self.W, device=device)
        self.logs = torch.empty(self.programs * self.R, dtype=torch.float64, device=device)

    def out(self) -> tuple:
        return self.sums, self.logs, self.N, self.K

    def tile(self) -> dict[str, int]:
        return {"R": self.R, "W": self.W, "num_warps": max(4, min(32, self.R * self.W // 512))}

    def found(self) -> tuple[Tensor, float]:
        return self.sums.double().sum(dim=0)[: self.K].cpu(), float(self.logs.sum())
