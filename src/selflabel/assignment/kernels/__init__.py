"""PASSES OVER SCORES: the same ones, written for speed on each device. Nothing here decides anything.

Each module has

- `score_turn(block, v, epsilon, labels)`: from scores themselves, in logarithms;
- `pack`, `packed_turn`: the same from scores kept in 16 bits;
- `dense_kernel`, `dense_turn`: exponentials stored once in bfloat16, then multiply-adds;
- `sparse_kernel`, `sparse_turn`: those entries alone that can matter, kept as logarithms.

A turn returns the (K,) sum over rows of the soft labels, float64 on the host, and the sum of the rows' log-sums.
`reference` is plain torch and runs anywhere; `cpu` is numba and wins on large blocks; `gpu` is Triton, for CUDA.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType

import torch

LARGE = 1 << 22  # scores from which compiled passes pay for their loading


def passes(device: torch.device, entries: int) -> ModuleType:
    """The module of passes for scores on this device, this many of them."""
    if entries >= LARGE and device.type == "cpu":
        from selflabel.assignment.kernels import cpu

        return cpu
    if entries >= LARGE and device.type == "cuda" and find_spec("triton"):
        from selflabel.assignment.kernels import gpu

        return gpu
    from selflabel.assignment.kernels import reference

    return reference
