"""What a solve reads: a score matrix, or features and a linear head whose score matrix is never stored as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

BLOCK_ENTRIES = 1 << 21  # scores computed at a time: 8 MB in float32


@dataclass(frozen=True)
class LinearScores:
    """Scores `features @ weight.T + bias`, computed block by block and never stored as a whole.

    Attributes:
        features: (N, D), any float type; a numpy array may be memory-mapped.
        weight: (K, D), any float type. The product is float32, on the weight's device.
        bias: (K,), or None.
    """

    features: Tensor | np.ndarray
    weight: Tensor
    bias: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.features), len(self.weight)

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def product(self, features: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """float32 scores.

        Args:
            features: (n, D) rows to score; None is all rows.
            out: (n, K) float32 that the result is written to, or None.
        """
        block = torch.as_tensor(self.features if features is None else features).to(self.device, torch.float32)
        weight = self.weight.float()
        with onednn_products() if block.device.type == "cpu" and onednn_is_exact() else nullcontext():
            if self.bias is None:
                return torch.mm(block, weight.T, out=out)
            return torch.addmm(self.bias.float(), block, weight.T, out=out)


@dataclass(frozen=True)
class WithDummy:
    """Scores with a dummy column, for items that fit no label. The wider matrix is never stored as a whole.

    Attributes:
        scores: N x K.
        dummy: (N,) each item's score of the dummy, which is column K.
    """

    scores: Tensor | LinearScores
    dummy: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        N, K = self.scores.shape
        return N, K + 1

    @property
    def device(self) -> torch.device:
        return self.scores.device

    def widen(self, rows: slice, block: Tensor) -> Tensor:
        """(n, K + 1) float32: a block of the scores, as a pass gives it, with the dummy's, shifted like their rows."""
        dummy = self.dummy[rows].to(block.device)
        if isinstance(self.scores, Tensor) and self.scores.dtype != torch.float32:
            dummy = dummy.double() - self.scores[rows].amax(dim=1).double()
        return torch.cat([block, dummy.to(block)[:, None]], dim=1)


@contextmanager
def onednn_products() -> Iterator[None]:
    """Let oneDNN compute matrix products; on processors with bfloat16 units it may round float32 inputs to bfloat16."""
    mkldnn: Any = torch.backends.mkldnn
    setting = mkldnn.matmul
    before, setting.fp32_precision = setting.fp32_precision, "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before


@cache
def onednn_is_exact() -> bool:
    """Whether oneDNN keeps float32 precision on this machine. Where it does it is twice as fast as MKL on AMD's processors."""
    mkldnn: Any = torch.backends.mkldnn
    if not mkldnn.is_available() or not hasattr(getattr(mkldnn, "matmul", None), "fp32_precision"):
        return False
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(512, 256, generator=g), torch.randn(256, 256, generator=g)
    with onednn_products():
        product = x @ w
    exact = x.double() @ w.double()
    return float((product - exact).abs().max()) < 1e-5 * float(exact.abs().max())


Scores = Tensor | np.ndarray | LinearScores  # what users pass
Source = Tensor | LinearScores | WithDummy  # the same after `as_source`


def as_source(scores: Scores, dummy: Tensor | np.ndarray | None = None) -> Source:
    """Scores as a detached tensor or LinearScores, with the dummy's (N,) where there is one.

    Raises:
        ValueError: a matrix without exactly two axes, features and weight of different widths, or not one dummy score an item.
    """
    if dummy is not None:
        source, column = as_source(scores), torch.as_tensor(dummy).detach()
        if column.shape != source.shape[:1]:
            raise ValueError(f"dummy must have one score for each of {source.shape[0]} items, found shape {tuple(column.shape)}.")
        return WithDummy(source, column)  # type: ignore[arg-type]
    if isinstance(scores, LinearScores):
        D, E = scores.features.shape[1], scores.weight.shape[1]
        if D != E:
            raise ValueError(f"features have {D} columns and the weight has {E}.")
        features, bias = torch.as_tensor(scores.features).detach(), scores.bias
        return LinearScores(features, scores.weight.detach(), None if bias is None else bias.detach())
    source = torch.as_tensor(scores).detach()
    if source.ndim != 2:
        raise ValueError(f"scores must be N x K, found {source.ndim} axes.")
    return source


def select_rows(source: Source, rows: Tensor) -> Tensor:
    """(n, K) float32 scores of the given (n,) rows."""
    if isinstance(source, WithDummy):
        scores = select_rows(source.scores, rows)
        return torch.cat([scores, source.dummy[rows.to(source.dummy.device)].to(scores)[:, None]], dim=1)
    if isinstance(source, LinearScores):
        return source.product(torch.as_tensor(source.features[rows]))
    return source[rows.to(source.device)].float()


def sample_rows(source: Source, count: int) -> Tensor:
    """(n, K) float32 scores of evenly spaced rows: n is at least `count` where there are so many, and less than twice that."""
    n = source.shape[0]
    return select_rows(source, torch.arange(0, n, max(1, n // count)))


def row_blocks(N: int, K: int) -> list[slice]:
    """Slices that cover N rows of K scores, at most BLOCK_ENTRIES scores each (but at least one row)."""
    step = max(1, BLOCK_ENTRIES // K)
    return [slice(start, min(start + step, N)) for start in range(0, N, step)]


class SharedFeatures:
    """Subsamples of the items that several solves share: heads over the same features copy the same rows only once."""

    def __init__(self) -> None:
        self.copies: WeakValueDictionary[tuple, Tensor] = WeakValueDictionary()

    def subsample(self, source: Source, step: int) -> Source:
        """Every step-th row of the source, in order."""
        if step == 1:
            return source
        if isinstance(source, WithDummy):
            return WithDummy(self.subsample(source.scores, step), source.dummy[::step])  # type: ignore[arg-type]
        if isinstance(source, Tensor):
            return source[::step]
        key = (*memory_key(source), step)
        copy = self.copies.get(key)
        if copy is None:
            rows = torch.as_tensor(source.features)[::step]
            copy = allocate(tuple(rows.shape), rows.device, rows.dtype).copy_(rows)
            self.copies[key] = copy
        return LinearScores(copy, source.weight, source.bias)


def allocate(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor. On the CPU numpy allocates it: it asks for large pages, which are quicker to touch first."""
    if device.type == "cpu":
        return torch.from_numpy(np.empty((*shape, dtype.itemsize), np.uint8)).view(dtype).view(shape)
    return torch.empty(shape, dtype=dtype, device=device)


def matrix_of(source: Source) -> Tensor | LinearScores:
    """The scores without a dummy column."""
    return source.scores if isinstance(source, WithDummy) else source


def memory_key(source: Source) -> tuple:
    """A key that is equal for two sources whose items are the same memory."""
    scores = matrix_of(source)
    x = scores.features if isinstance(scores, LinearScores) else scores
    assert isinstance(x, Tensor)
    return x.data_ptr(), tuple(x.shape), x.stride()
