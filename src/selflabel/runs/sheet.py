"""The contact sheet of a finished run, from its small pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.evaluation.sheet import contact_sheet
from selflabel.runs.missing import Missing

GREY_TILE = np.full((8, 8), 200, np.uint8)


class TileDecoder:
    """row -> (H, W[, 3]) uint8 of its picture; a grey tile for an item that is missing.

    Args:
        read: row -> encoded picture; it raises Missing.
    """

    def __init__(self, read: Callable[[int], bytes]):
        self.read, self.n_read, self.first_error = read, 0, ""

    def __call__(self, row: int) -> np.ndarray:
        try:
            pixels = np.asarray(Image.open(io.BytesIO(self.read(row))))
        except Missing as error:
            self.first_error = self.first_error or str(error)
            return GREY_TILE
        self.n_read += 1
        return pixels


def run_sheet(
    folder: Path,
    labels: np.ndarray,
    confidence: np.ndarray,
    names: dict[int, str],
    read: Callable[[int], bytes],
    across: int,
) -> Image.Image:
    """Draw the contact sheet of a run.

    Args:
        folder: of the run, as errors name it.
        labels: (N,) int, -1 for rejected items.
        confidence: (N,) in [0, 1].
        names: of clusters that have one.
        read: row -> encoded picture; it raises Missing.
        across: items of each cluster, the most confident ones.

    Raises:
        UserError: none of the items can be read.
    """
    decode = TileDecoder(read)
    sheet = contact_sheet(labels, confidence, decode, across, names)
    if decode.first_error and not decode.n_read:
        raise UserError(f"{folder}: none of its items can be shown; the first: {decode.first_error}.")
    return sheet
