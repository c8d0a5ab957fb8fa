"""Which of a split's centres is nearest to an item."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from selflabel.base.errors import UserError

BLOCK = 65_536  # rows whose features are looked at together


class Rows(Protocol):
    """What features must be able to do: (N, D) numbers, taken by rows."""

    shape: tuple[int, ...]

    def __getitem__(self, rows: Any) -> Any: ...


def nearest_centre(features: Rows | None, rows: np.ndarray, centres_PD: np.ndarray) -> np.ndarray:
    """(len(rows),) which centre is nearest to each row, by Euclid; the first of equals."""
    if features is None or features.shape[1] != centres_PD.shape[1]:
        found = "no features" if features is None else f"features of length {features.shape[1]}"
        raise UserError(f"a split was made on features of length {centres_PD.shape[1]}, and the run has {found}; undo it.")
    half_square = 0.5 * np.square(centres_PD).sum(axis=1)
    blocks = [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
    return np.concatenate([(half_square - np.asarray(features[b], np.float32) @ centres_PD.T).argmin(axis=1) for b in blocks])
