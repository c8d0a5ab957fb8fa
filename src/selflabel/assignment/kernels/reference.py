"""The kernels in plain torch: what those for one device must equal."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK_ENTRIES = 1 << 21  # stored entries that are converted to float32 at a time
CHUNK_PACKED = 1 << 24  # packed scores that entries are selected from at a time


def score_sums(block: Tensor, v: Tensor, epsilon: float, labels: Tensor | None = None) -> tuple[Tensor, float]:
    """Sums of the soft labels, from scores.

    Args:
        block: (n, K) scores.
        v: (K,) float64 potentials on the CPU.
        epsilon: temperature.
        labels: (n,) int64, filled with each row's argmax of s + v (the first of equal ones), or None.

    Returns:
        (K,) float64 sum of the soft labels on the CPU, and the sum of the rows' logsumexp((s + v) / epsilon).
    """
    x = add_potentials(block, v)
    if labels is not None:
        labels.copy_(x.argmax(dim=1))
    peak = x.amax(dim=1, keepdim=True)
    soft = ((x - peak) / epsilon).exp_()
    z = soft.sum(dim=1, keepdim=True)
    return to_host((soft / z).sum(dim=0)), total(peak) / epsilon + total(z.log())


def dense_kernel(block: Tensor, v: Tensor, epsilon: float, out: Tensor) -> float:
    """Store the Gibbs kernel at potentials v.

    Args:
        block: (n, K) scores.
        v: (K,) float64 potentials on the CPU.
        epsilon: temperature.
        out: (n, K) bfloat16, filled with exp((s + v - peak) / epsilon), where peak is the row's highest s + v.

    Returns:
        The sum over rows of peak / epsilon.
    """
    x = add_potentials(block, v)
    peak = x.amax(dim=1, keepdim=True)
    out.copy_(((x - peak) / epsilon).exp_())
    return total(peak) / epsilon


def dense_sums(kernel: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """Sums of the soft labels, from a stored kernel, when potentials have moved since; the logs lack the peaks.

    Args:
        kernel: (n, K) bfloat16 from `dense_kernel`.
        x: (K,) float64, how far potentials have moved, in epsilons.
    """
    top = float(x.max())
    scale = torch.exp(x - top).to(kernel.device, torch.float32)
    sums, logs = torch.zeros(len(x), dtype=torch.float64), len(kernel) * top
    for rows in kernel.split(max(1, CHUNK_ENTRIES // len(x))):
        soft = rows.float() * scale
        z = soft.sum(dim=1, keepdim=True)
        sums += to_host((soft / z).sum(dim=0))
        logs += total(z.log())
    return sums, logs


def pack(block: Tensor, out: Tensor, scales: Tensor) -> None:
    """Store scores in 16 bits, in even steps from their row's lowest to its highest.

    Args:
        block: (n, K) scores.
        out: (n, K) int16, filled with the number of steps, 0 to 65,535, as an unsigned integer.
        scales: (n,) float32, filled with each row's step.
    """
    lowest = block.amin(dim=1, keepdim=True)
    scales.copy_(((block.amax(dim=1) - lowest[:, 0]) / 65535).clamp(min=1e-30))
    steps = ((block - lowest) / scales[:, None]).round_().to(torch.int32)
    out.copy_(torch.where(steps > 32767, steps - 65536, steps))


def packed_sums(packed: Tensor, scales: Tensor, v: Tensor, epsilon: float) -> tuple[Tensor, float]:
    """`score_sums` from packed scores; the logs lack each row's lowest score, which is the same at every v."""
    sums, logs = torch.zeros(len(v), dtype=torch.float64), 0.0
    rows = max(1, CHUNK_ENTRIES // len(v))
    for part, scale in zip(packed.split(rows), scales.split(rows)):
        part_sums, part_logs = score_sums(unpack(part, scale), v, epsilon)
        sums, logs = sums + part_sums, logs + part_logs
    return sums, logs


def unpack(packed: Tensor, scales: Tensor) -> Tensor:
    """(n, K) float32 scores above their row's lowest, from packed ones and their scales."""
    return (packed.int() & 0xFFFF).float() * scales[:, None]


def sparse_kernel(
    block: Tensor, v: Tensor, epsilon: float, cutoff: float, leeway: Tensor, scales: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Select the entries of the Gibbs kernel that can matter while no label moves further than its leeway.

    Args:
        block: (n, K) scores, or with `scales` packed ones.
        v: (K,) float64 potentials on the CPU.
        epsilon: temperature.
        cutoff: how far below its row's peak, in epsilons, an entry does not matter.
        leeway: (K,) float64 on the CPU, in epsilons. An entry may come nearer to the peak by its own label's and by the peak's.
        scales: (n,) of packed scores, or None.

    Returns:
        Row by row: how many entries (n,), their columns, and their logarithms below the peak; and the sum of peak / epsilon.
    """
    if scales is not None:
        rows = max(1, CHUNK_PACKED // block.shape[1])
        parts = zip(block.split(rows), scales.split(rows))
        each = list(zip(*(sparse_kernel(unpack(b, s), v, epsilon, cutoff, leeway) for b, s in parts)))
        return torch.cat(each[0]), torch.cat(each[1]), torch.cat(each[2]), sum(each[3])
    x, free = add_potentials(block, v), leeway.to(block.device, torch.float32)
    peak, best = x.max(dim=1, keepdim=True)
    logs = (x - peak) / epsilon
    keep = logs + free > -cutoff - free[best]
    columns = keep.nonzero()[:, 1].to(column_type(block.shape[1]))
    return keep.sum(dim=1), columns, logs[keep], total(peak) / epsilon


def sparse_sums(starts: Tensor, columns: Tensor, logs: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """Sums of the soft labels, from selected entries, when potentials have moved since; the logs lack the peaks.

    Args:
        starts: (n + 1,) int64 on the CPU: row i has the entries from starts[i] to starts[i + 1].
        columns: of the entries.
        logs: of the entries, float32.
        x: (K,) float64, how far potentials have moved, in epsilons.
    """
    labels, offsets = columns.long(), starts.to(logs.device)
    row = logs + x.to(logs.device, torch.float32)[labels]
    peak = torch.segment_reduce(row, "max", offsets=offsets)
    soft = (row - peak.repeat_interleave(offsets.diff())).exp_()
    z = torch.segment_reduce(soft, "sum", offsets=offsets)
    soft = soft / z.repeat_interleave(offsets.diff())
    sums = torch.zeros(len(x), device=logs.device).index_add_(0, labels, soft)
    return to_host(sums), total(peak) + total(z.log())


def column_type(K: int) -> torch.dtype:
    """The integer type that numbers K labels."""
    return torch.int16 if K < 1 << 15 else torch.int32


def add_potentials(block: Tensor, v: Tensor) -> Tensor:
    return block.float() + v.to(block.device, torch.float32)


def to_host(x: Tensor) -> Tensor:
    return x.cpu().double()


def total(x: Tensor) -> float:
    """The sum of all entries in float64 on the CPU, so that small ones are not lost."""
    return float(x.cpu().double().sum())
