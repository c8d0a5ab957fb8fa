"""WHAT A SOLVE READS: a matrix of scores, or features and a linear head whose scores never exist as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

BLOCK_ENTRIES = 1 << 21  # scores made at a time: 8 MB in float32


@dataclass(frozen=True)
class LinearScores:
    """Scores `features @ weight.T + bias` that never exist as a whole.

    features (N, D) may be memory-mapped; weight (K, D); bias (K,) or None. All of any float type; the product is float32 on the
    weight's device.
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
        """float32 scores of these features, or of all."""
        part = torch.as_tensor(self.features if features is None else features).to(self.device, torch.float32)
        weight = self.weight.float()
        with quick_product() if part.device.type == "cpu" and quick_is_exact() else nullcontext():
            if self.bias is None:
                return torch.mm(part, weight.T, out=out)
            return torch.addmm(self.bias.float(), part, weight.T, out=out)


@contextmanager
def quick_product() -> Iterator[None]:
    """Products by oneDNN, which may take float32 for bfloat16 on processors that have units for it."""
    mkldnn: Any = torch.backends.mkldnn
    setting = mkldnn.matmul
    before, setting.fp32_precision = setting.fp32_precision, "bf16"
    try:
        yield
    finally:
        setting.fp32_precision = before


@cache
def quick_is_exact() -> bool:
    """Whether it takes float32 for float32 here: then it is twice as fast as MKL on AMD's processors, and as exact."""
    mkldnn: Any = torch.backends.mkldnn
    if not mkldnn.is_available() or not hasattr(getattr(mkldnn, "matmul", None), "fp32_precision"):
        return False
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(512, 256, generator=g), torch.randn(256, 256, generator=g)
    with quick_product():
        found = x @ w
    exact = x.double() @ w.double()
    return float((found - exact).abs().max()) < 1e-5 * float(exact.abs().max())


Scores = Tensor | np.ndarray | LinearScores
Source = Tensor | LinearScores


def as_source(scores: Scores) -> Source:
    """Scores as a tensor or LinearScores, with their shapes checked."""
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


def rows_of(source: Source, rows: Tensor) -> Tensor:
    """(len(rows), K) float32 scores of some rows."""
    if isinstance(source, LinearScores):
        return source.product(torch.as_tensor(source.features[rows]))
    return source[rows.to(source.device)].float()


def some_rows(source: Source, most: int) -> Tensor:
    """Scores of about `most` rows, evenly apart."""
    n = source.shape[0]
    return rows_of(source, torch.arange(0, n, max(1, n // most)))


@dataclass(frozen=True)
class Pass:
    """One read of all scores: `each(rows, block)` is given row blocks as float32, the same up to a constant a row.

    With `whole`, scores that are float32 already come in one block.
    """

    source: Source
    each: Callable[[slice, Tensor], None]
    whole: bool = False


def read(passes: Sequence[Pass]) -> None:
    """Carry out passes over the same items, reading each block of features once for all of them."""
    linear = [p for p in passes if isinstance(p.source, LinearScores)]
    for p in passes:
        if isinstance(p.source, Tensor):
            read_matrix(p, p.source)
    if linear:
        read_products(linear)


def read_matrix(p: Pass, scores: Tensor) -> None:
    N, K = scores.shape
    if p.whole and scores.dtype == torch.float32:
        p.each(slice(0, N), scores)
        return
    for rows in stretches(N, K):
        block = scores[rows]
        p.each(rows, block if block.dtype == torch.float32 else (block - block.amax(dim=1, keepdim=True)).float())


def read_products(passes: Sequence[Pass]) -> None:
    first, widest = passes[0].source, max(p.source.shape[1] for p in passes)
    assert isinstance(first, LinearScores)
    rows_at_once = list(stretches(first.shape[0], widest))
    room = torch.empty((rows_at_once[0].stop if rows_at_once else 0) * widest, device=first.device)
    for rows in rows_at_once:
        n = rows.stop - rows.start
        features = torch.as_tensor(first.features[rows]).to(first.device, torch.float32)
        for p in passes:
            assert isinstance(p.source, LinearScores)
            K = p.source.shape[1]
            p.each(rows, p.source.product(features, out=room[: n * K].view(n, K)))


def stretches(N: int, K: int) -> list[slice]:
    """Rows whose scores are made at a time."""
    step = max(1, BLOCK_ENTRIES // K)
    return [slice(start, min(start + step, N)) for start in range(0, N, step)]


class Items:
    """The items that several solves share, and every step-th of them; features are laid out once for all who ask."""

    def __init__(self) -> None:
        self.sets: WeakValueDictionary[tuple, Tensor] = WeakValueDictionary()

    def thinned(self, source: Source, step: int) -> Source:
        """Every step-th row."""
        if step == 1:
            return source
        if isinstance(source, Tensor):
            return source[::step]
        key = (*same_items(source), step)
        kept = self.sets.get(key)
        if kept is None:
            every = torch.as_tensor(source.features)[::step]
            kept = empty(tuple(every.shape), every.device, every.dtype).copy_(every)
            self.sets[key] = kept
        return LinearScores(kept, source.weight, source.bias)


def empty(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Room on the device; on the host from numpy, which asks for large pages and so takes it up quicker."""
    if device.type == "cpu":
        return torch.from_numpy(np.empty((*shape, dtype.itemsize), np.uint8)).view(dtype).view(shape)
    return torch.empty(shape, dtype=dtype, device=device)


def same_items(source: Source) -> tuple:
    """Equal where two sources read the same memory."""
    x = source.features if isinstance(source, LinearScores) else source
    assert isinstance(x, Tensor)
    return x.data_ptr(), tuple(x.shape), x.stride()


def refuse_bad(sources: Sequence[Source]) -> None:
    """Raise where a score is NaN or infinite, naming the first such row.

    One sum tells whether all are finite; only where it is not are the rows looked at. Shared features are summed once.
    """
    parts: dict[tuple, Tensor] = {}
    for source in sources:
        of = (source.weight, source.bias, source.features) if isinstance(source, LinearScores) else (source,)
        parts |= {(x.data_ptr(), tuple(x.shape)): x for x in map(torch.as_tensor, [x for x in of if x is not None])}

    def look(rows: slice, block: Tensor) -> None:
        bad = (~torch.isfinite(block)).any(dim=1).nonzero()
        if len(bad):
            raise ValueError(f"scores have a NaN or infinite value in row {rows.start + int(bad[0, 0])}.")

    if not all(bool(torch.isfinite(total(x))) for x in parts.values()):
        for source in sources:
            read([Pass(source, look)])


def total(x: Tensor) -> Tensor:
    """The sum, in float32 at least, a stretch at a time: torch sums half precision by way of a copy in float32."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return torch.stack([part.sum(dtype=wide) for part in x.split(max(1, BLOCK_ENTRIES * len(x) // max(1, x.numel())))]).sum()
