"""The piece of its picture that an annotation of a COCO file is: a box, and a mask from outlines or run lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.base.outlines import mask_of_outlines
from selflabel.base.rle import Rle, checked_rle
from selflabel.base.text import printable, shortened
from selflabel.items.given_pieces import NoPiece, box_problem, number_of
from selflabel.items.piece import Piece

BOX_CELLS = ("x", "y", "width", "height")


def box_of(bbox: Any) -> tuple[float, float, float, float] | None:
    """(x0, y0, x1, y1) of a bbox [x, y, width, height]; None where there is none. Raises NoPiece."""
    if bbox is None or bbox == []:
        return None
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise NoPiece("its bbox is no list of four numbers")
    x, y, width, height = (number_of(name, value) for name, value in zip(BOX_CELLS, bbox))
    return x, y, x + width, y + height


def piece_of(box: tuple[float, float, float, float] | None, segmentation: Any, size: tuple[int, int]) -> Piece:
    """The piece of a picture that an annotation is.

    Args:
        box: (x0, y0, x1, y1), or None.
        segmentation: outlines or run lengths, or nothing.
        size: (width, height) that is stated of the picture.

    Raises:
        NoPiece: it is none.
    """
    if reason := box_problem(box):
        raise NoPiece(reason)
    try:
        mask, size = mask_of(segmentation, size)
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
        raise NoPiece(f"its mask cannot be read ({shortened(printable(str(error)), 120)})") from error
    if mask is not None and not mask.area:
        mask = None
    if box is None and mask is None:
        raise NoPiece("it has neither a box nor a mask with pixels")
    if box is None and mask is not None:
        box = tuple(map(float, mask.box))  # type: ignore[assignment]
    return Piece(None, box, size, mask)


def mask_of(segmentation: Any, size: tuple[int, int]) -> tuple[Rle | None, tuple[int, int]]:
    """(mask or None, size of its picture). Raises ValueError and the like where it is damaged, NoPiece where it does not fit."""
    if not segmentation:
        return None, size
    if isinstance(segmentation, dict):
        height, width = sides_of(segmentation.get("size"))
        if size not in ((0, 0), (width, height)):
            raise NoPiece(f"its mask has {width} x {height} pixels, and its picture {size[0]} x {size[1]}")
        return checked_rle(height, width, counts_of(segmentation.get("counts"))), (width, height)
    if size == (0, 0):
        raise ValueError("its outline needs the width and height of its picture")
    return mask_of_outlines(outlines_of(segmentation), *size), size


def sides_of(size: Any) -> tuple[int, int]:
    """(height, width) of run lengths as written. Raises ValueError."""
    if not isinstance(size, list) or len(size) != 2 or not all(is_number(side) and side == int(side) for side in size):
        raise ValueError("its size is no pair of whole numbers")
    return int(size[0]), int(size[1])


def counts_of(counts: Any) -> Any:
    """Run lengths as written, compressed or not. Raises ValueError."""
    if isinstance(counts, list) and not all(is_number(run) and run == int(run) for run in counts):
        raise ValueError("its run lengths are no whole numbers")
    if not isinstance(counts, (list, str)):
        raise ValueError("it has no run lengths")
    return counts


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def outlines_of(segmentation: Any) -> list[np.ndarray]:
    """Outlines [[x, y, x, y, ...], ...] as arrays (M, 2). Raises ValueError."""
    if not isinstance(segmentation, list):
        raise ValueError("it is neither outlines nor run lengths")
    lists = segmentation if isinstance(segmentation[0], list) else [segmentation]
    if not all(is_number(value) for corners in lists if isinstance(corners, list) for value in corners):
        raise ValueError("an outline holds what is no number")
    arrays = [np.array(corners, np.float64) for corners in lists]
    if any(a.ndim != 1 or len(a) < 6 or len(a) % 2 for a in arrays):
        raise ValueError("an outline needs three corners at least, each of two numbers")
    return [a.reshape(-1, 2) for a in arrays]
