"""WHAT A SOLVE READS: a matrix of scores, or features and a linear head whose scores never exist as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


def thinned(source: Source, step: int) -> Source:
    """Every step-th row, laid out afresh."""
    if step == 1:
        return source
    if isinstance(source, LinearScores):
        return LinearScores(torch.as_tensor(source.features[::step]).contiguous(), source.weight, source.bias)
    return source[::step].contiguous()


def rows_of(source: Source, rows: Tensor) -> Tensor:
    """(len(rows), K) float32 scores of some rows."""
    if isinstance(source, LinearScores):
        return product(source, torch.as_tensor(source.features[rows]))
    return source[rows.to(source.device)].float()


def blocks(source: Source, whole: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """Row blocks as float32, the same up to a constant a row; with `whole`, what is float32 already comes in one."""
    N, K = source.shape
    if whole and isinstance(source, Tensor) and source.dtype == torch.float32:
        yield slice(0, N), source
        return
    step = max(1, BLOCK_ENTRIES // K)
    made = torch.empty(min(step, N), K, device=source.device)
    for start in range(0, N, step):
        rows = slice(start, min(start + step, N))
        if isinstance(source, LinearScores):
            yield rows, product(source, torch.as_tensor(source.features[rows]), made[: rows.stop - start])
        else:
            block = source[rows]
            yield rows, (block - block.amax(dim=1, keepdim=True)).float() if block.dtype != torch.float32 else block


def product(source: LinearScores, features: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Scores of these features, or of all."""
    features = torch.as_tensor(source.features) if features is None else features
    part, weight = features.to(source.device, torch.float32), source.weight.float()
    if source.bias is None:
        return torch.mm(part, weight.T, out=out)
    return torch.addmm(source.bias.float(), part, weight.T, out=out)


def refuse_bad(source: Source) -> None:
    """Raise where a score is NaN or infinite, naming the first such row.

    One sum tells whether all are finite; only where it is not are the rows looked at.
    """
    parts = [source.weight, source.bias, source.features] if isinstance(source, LinearScores) else [source]
    tensors = [torch.as_tensor(p) for p in parts if p is not None]
    if all(bool(torch.isfinite(total(x))) for x in tensors):
        return
    for rows, block in blocks(source):
        bad = (~torch.isfinite(block)).any(dim=1).nonzero()
        if len(bad):
            raise ValueError(f"scores have a NaN or infinite value in row {rows.start + int(bad[0, 0])}.")


def total(x: Tensor) -> Tensor:
    return x.sum(dtype=torch.float64 if x.dtype == torch.float64 else torch.float32)
