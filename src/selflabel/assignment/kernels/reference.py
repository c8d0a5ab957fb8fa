"""The passes in plain torch: what the others must equal."""

from __future__ import annotations

import torch
from torch import Tensor


def score_turn(block: Tensor, v: Tensor, epsilon: float, labels: Tensor | None = None) -> tuple[Tensor, float]:
    """One turn from scores.

    Args:
        block: (n, K) scores.
        v: (K,) float64 potentials on the host.
        epsilon: temperature.
        labels: (n,) int64, filled with each row's argmax of s + v, or None.

    Returns:
        (K,) float64 sums of the soft labels, and the sum of the rows' logsumexp((s + v) / epsilon).
    """
    x = shifted(block, v)
    if labels is not None:
        labels.copy_(x.argmax(dim=1))
    peak = x.amax(dim=1, keepdim=True)
    soft = ((x - peak) / epsilon).exp_()
    z = soft.sum(dim=1, keepdim=True)
    return on_host((soft / z).sum(dim=0)), total(peak) / epsilon + total(z.log())


def dense_kernel(block: Tensor, v: Tensor, epsilon: float, out: Tensor) -> float:
    """Fill out (n, K) bfloat16 with exp((s + v - peak) / epsilon); the sum of peak / epsilon."""
    x = shifted(block, v)
    peak = x.amax(dim=1, keepdim=True)
    out.copy_(((x - peak) / epsilon).exp_())
    return total(peak) / epsilon


def dense_turn(kernel: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """One turn from a stored kernel, potentials having moved by x (K,) epsilons since, in row blocks."""
    top = float(x.max())
    scale = torch.exp(x - top).to(kernel.device, torch.float32)
    sums, logs = torch.zeros(len(x), dtype=torch.float64), len(kernel) * top
    for rows in kernel.split(max(1, (1 << 21) // len(x))):
        soft = rows.float() * scale
        z = soft.sum(dim=1, keepdim=True)
        sums += on_host((soft / z).sum(dim=0))
        logs += total(z.log())
    return sums, logs


def pack(block: Tensor, out: Tensor, scales: Tensor) -> None:
    """Fill out (n, K) int16, read as 0 to 65,535, with scores in even steps from their row's lowest to its highest."""
    least = block.amin(dim=1, keepdim=True)
    scales.copy_(((block.amax(dim=1) - least[:, 0]) / 65535).clamp(min=1e-30))
    steps = ((block - least) / scales[:, None]).round_().to(torch.int32)
    out.copy_(torch.where(steps > 32767, steps - 65536, steps))


def packed_turn(packed: Tensor, scales: Tensor, v: Tensor, epsilon: float) -> tuple[Tensor, float]:
    """`score_turn` from packed scores; the logs lack each row's lowest score, which is the same at every v."""
    sums, logs = torch.zeros(len(v), dtype=torch.float64), 0.0
    rows = max(1, (1 << 21) // len(v))
    for part, scale in zip(packed.split(rows), scales.split(rows)):
        found = score_turn(unpacked(part, scale), v, epsilon)
        sums, logs = sums + found[0], logs + found[1]
    return sums, logs


def unpacked(packed: Tensor, scales: Tensor) -> Tensor:
    """(n, K) float32 scores above their row's lowest."""
    return (packed.int() & 0xFFFF).float() * scales[:, None]


def sparse_kernel(
    block: Tensor, v: Tensor, epsilon: float, least: float, leeway: Tensor, scales: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, float]:
    """The entries of the kernel that can matter while no label moves further than its leeway.

    Args:
        block: (n, K) scores, or with `scales` packed ones.
        least: how far below its row's highest, in epsilons, an entry does not matter.
        leeway: (K,) float64 on the host, in epsilons. An entry may come nearer by its own label's and by that of the highest.

    Returns:
        (n,) counts, columns, logs of the entries, row by row, and the sum of peak / epsilon.
    """
    if scales is not None:
        rows = max(1, (1 << 24) // block.shape[1])
        parts = zip(block.split(rows), scales.split(rows))
        each = list(zip(*(sparse_kernel(unpacked(b, s), v, epsilon, least, leeway) for b, s in parts)))
        return torch.cat(each[0]), torch.cat(each[1]), torch.cat(each[2]), sum(each[3])
    x, free = shifted(block, v), leeway.to(block.device, torch.float32)
    peak, best = x.max(dim=1, keepdim=True)
    logs = (x - peak) / epsilon
    keep = logs + free > -least - free[best]
    columns = keep.nonzero()[:, 1].to(column_type(block.shape[1]))
    return keep.sum(dim=1), columns, logs[keep], total(peak) / epsilon


def sparse_turn(starts: Tensor, columns: Tensor, logs: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """One turn from kept entries, in logarithms; row i has those from starts[i] to starts[i + 1]."""
    where, offsets = columns.long(), starts.to(logs.device)
    row = logs + x.to(logs.device, torch.float32)[where]
    peak = torch.segment_reduce(row, "max", offsets=offsets)
    soft = (row - peak.repeat_interleave(offsets.diff())).exp_()
    z = torch.segment_reduce(soft, "sum", offsets=offsets)
    soft = soft / z.repeat_interleave(offsets.diff())
    sums = torch.zeros(len(x), device=logs.device).index_add_(0, where, soft)
    return on_host(sums), total(peak) + total(z.log())


def column_type(K: int) -> torch.dtype:
    return torch.int16 if K < 1 << 15 else torch.int32


def shifted(block: Tensor, v: Tensor) -> Tensor:
    return block.float() + v.to(block.device, torch.float32)


def on_host(x: Tensor) -> Tensor:
    return x.cpu().double()


def total(x: Tensor) -> float:
    """A sum that does not lose small parts: by rows in float32, then float64 on the host."""
    return float(x.cpu().double().sum())
