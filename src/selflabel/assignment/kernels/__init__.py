"""Kernels: the inner loops of an evaluation, written for each device. Nothing is decided here.

Every module has

- `score_sums(block, v, epsilon, labels)`: from scores themselves, in logarithms;
- `pack` and `packed_sums`: from scores stored in 16 bits;
- `dense_kernel` and `dense_sums`: from the Gibbs kernel exp((s + v) / epsilon) stored in bfloat16, by multiply-adds;
- `sparse_kernel` and `sparse_sums`: from those entries of the Gibbs kernel that can matter, stored as logarithms.

Every `..._sums` returns the sum over rows of the soft labels, (K,) float64 on the CPU, and the sum of the rows' log-sums.
`reference` is plain torch and runs anywhere; `cpu` is numba, quicker on large blocks; `gpu` is Triton, for CUDA.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType

import torch

MIN_COMPILED_ENTRIES = 1 << 22  # scores from which on compiled kernels repay loading them


def kernels_for(device: torch.device, entries: int) -> ModuleType:
    """The module of kernels for this many scores on this device."""
    if entries >= MIN_COMPILED_ENTRIES and device.type == "cpu":
        from selflabel.assignment.kernels import cpu

        return cpu
    if entries >= MIN_COMPILED_ENTRIES and device.type == "cuda" and find_spec("triton"):
        from selflabel.assignment.kernels import gpu

        return gpu
    from selflabel.assignment.kernels import reference

    return reference
