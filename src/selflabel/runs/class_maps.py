"""The class map of a photo from the regions of it that a run has: the regions' masks, each filled with its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selflabel.items import Piece
from selflabel.runs.run import Run

NO_CLASS, NO_CLASS_OF_MANY = 255, 65535


def has_class_maps(run: Run) -> bool:
    """Whether the regions of a run are class maps of its photos: of patches, or of a segmenter that learned such."""
    return run.report.get("piece") == "region"


def class_map_of(pieces: Sequence[Piece], values: Sequence[int], confidences: Sequence[float], n_classes: int) -> np.ndarray:
    """(H, W) the class of every pixel of a photo, uint8, of more than 255 classes uint16; the surest mask lies on top.

    Pixels of no mask have the highest number of that type.

    Args:
        pieces: with masks that can be read, all of one photo; others are left out.
        values: of each its class, from 0 on; one below 0 is left out.
        confidences: of each.
        n_classes: of all photos.

    Raises:
        ValueError: a mask is damaged.
    """
    kind, no_class = (np.uint16, NO_CLASS_OF_MANY) if n_classes > NO_CLASS else (np.uint8, NO_CLASS)
    width, height = pieces[0].size
    result = np.full((height, width), no_class, kind)
    for i in np.argsort(confidences, kind="stable"):
        mask = pieces[i].mask
        if values[i] >= 0 and mask is not None and (mask.height, mask.width) == (height, width):
            result[mask.decode()] = values[i]
    return result
