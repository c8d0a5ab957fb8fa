"""Checks of what `sinkhorn` is given, before anything is solved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from selflabel.assignment.passes import Pass, run_passes
from selflabel.assignment.reducer import Reducer
from selflabel.assignment.scores import BLOCK_ENTRIES, LinearScores, Source, WithDummy, matrix_of


def check_options(source: Source, epsilon: float, relax: float | None, rounding: str, group: Any) -> None:
    """Check the options against each other and against the scores' shape.

    Raises:
        ValueError: empty scores, an unknown or impossible rounding, epsilon that is not positive, relax outside 0 to 1.
    """
    N, K = source.shape
    if K == 0 or (N == 0 and group is None):
        raise ValueError(f"scores are empty: {N} items and {K} labels.")
    if rounding not in ("argmax", "exact"):
        raise ValueError(f"rounding must be 'argmax' or 'exact', not {rounding!r}.")
    if rounding == "exact" and group is not None:
        raise ValueError("rounding='exact' needs all rows in one process; solve with 'argmax', then round on one rank.")
    if rounding == "exact" and K > N:
        raise ValueError(f"rounding='exact' needs an item for every label: {N} items and {K} labels.")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, not {epsilon}.")
    if relax is not None and not 0 <= relax <= 1:
        raise ValueError(f"relax must lie between 0 (fixed masses) and 1 (free), not {relax}.")


def check_finite_on_all_ranks(sources: Sequence[Source], reducer: Reducer) -> None:
    """`check_finite`, raised on every rank when it fails on one, so that no rank is left waiting.

    Raises:
        ValueError: a score is NaN or infinite.
    """
    error: ValueError | None = None
    try:
        check_finite(sources)
    except ValueError as local_error:
        error = local_error
    if reducer.sum(0 if error is None else 1)[0] > 0:
        raise error or ValueError("scores have a NaN or infinite value on another rank.")


def check_finite(sources: Sequence[Source]) -> None:
    """Check that all scores are finite.

    A finite sum proves that; only where a sum is not finite are rows searched. Shared features are summed once.

    Raises:
        ValueError: a score is NaN or infinite; the first such row is named.
    """
    tensors: dict[tuple, Tensor] = {}
    for source in sources:
        scores = matrix_of(source)
        parts = [scores.weight, scores.bias, scores.features] if isinstance(scores, LinearScores) else [scores]
        parts += [source.dummy] if isinstance(source, WithDummy) else []
        tensors |= {(x.data_ptr(), tuple(x.shape)): x for x in map(torch.as_tensor, [x for x in parts if x is not None])}

    def check_block(rows: slice, block: Tensor) -> None:
        bad = (~torch.isfinite(block)).any(dim=1).nonzero()
        if len(bad):
            raise ValueError(f"scores have a NaN or infinite value in row {rows.start + int(bad[0, 0])}.")

    if not all(bool(torch.isfinite(blockwise_sum(x))) for x in tensors.values()):
        for source in sources:
            run_passes([Pass(source, check_block)])


def blockwise_sum(x: Tensor) -> Tensor:
    """The sum of all entries, in float32 at least, block by block: torch would copy half precision as a whole to float32."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return torch.stack([part.sum(dtype=wide) for part in x.split(max(1, BLOCK_ENTRIES * len(x) // max(1, x.numel())))]).sum()


def log_shares(mass: Tensor | np.ndarray | None, K: int, dummy_mass: float | None = None) -> np.ndarray:
    """(K,) float64 logarithms of the target shares; None is uniform. With a dummy (K + 1,), the shares scaled to the rest.

    Raises:
        ValueError: not one share a label, a share that is not positive, or shares that do not sum to 1; or a dummy that has no
            mass, or all of it.
    """
    if dummy_mass is not None:
        if not 0 < dummy_mass < 1:
            raise ValueError(f"dummy_mass must lie between 0 and 1, not {dummy_mass}.")
        return np.append(log_shares(mass, K) + math.log1p(-dummy_mass), math.log(dummy_mass))
    if mass is None:
        return np.full(K, -math.log(K))
    r = torch.as_tensor(mass).detach().double().cpu().numpy()
    if r.shape != (K,):
        raise ValueError(f"mass must have one share for each of the {K} labels, found shape {r.shape}.")
    if not np.isfinite(r).all() or r.min() <= 0:
        raise ValueError(f"every share of mass must be positive; the least is {r.min():g}.")
    if abs(r.sum() - 1) > 1e-4:
        raise ValueError(f"the shares of mass must sum to 1; they sum to {r.sum():g}.")
    return np.log(r / r.sum())
