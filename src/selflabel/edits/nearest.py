"""Which centre of a split is nearest to an item. P centres (parts), D features."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from selflabel.base.errors import UserError

BLOCK = 65_536  # rows whose features are in memory at a time


class FeatureRows(Protocol):
    """What a split needs of features: (N, D) numbers that can be taken by rows, such as an array or a memory map."""

    shape: tuple[int, ...]

    def __getitem__(self, rows: Any) -> Any: ...


def nearest_centre(features: FeatureRows | None, rows: np.ndarray, centres_PD: np.ndarray) -> np.ndarray:
    """The index of the centre nearest to each item by Euclidean distance; the first of equals.

    Args:
        features: (N, D); None where the run has none.
        rows: (n,) of the items.
        centres_PD: (P, D).

    Returns:
        (n,) integers from 0 to P - 1.

    Raises:
        UserError: there are no features, or they are of another length.
    """
    if features is None or features.shape[1] != centres_PD.shape[1]:
        available = "no features" if features is None else f"features of length {features.shape[1]}"
        raise UserError(f"a split was made on features of length {centres_PD.shape[1]}, and the run has {available}; undo it.")
    half_square = 0.5 * np.square(centres_PD).sum(axis=1)
    blocks = [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
    return np.concatenate([(half_square - np.asarray(features[b], np.float32) @ centres_PD.T).argmin(axis=1) for b in blocks])
