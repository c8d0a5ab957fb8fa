"""The piece of a file that an item is: a time span of a sound or film, a box or a mask in a picture. A whole file has none.

Boxes are in pixels of the upright original, x to the right and y down; x1 and y1 are outside, so that x1 - x0 is the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from selflabel.base.rle import Rle

Span = tuple[float, float]
Box = tuple[float, float, float, float]

SPAN_COLUMNS = ("start_s", "end_s")
BOX_COLUMNS = ("x0", "y0", "x1", "y1")
PIECE_COLUMNS = (*SPAN_COLUMNS, *BOX_COLUMNS)
LONGEST_S = 1e8  # a file of three years: no span ends later
DIGITS = 3  # after the point, of seconds and pixels in tables for people


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file.

    Args:
        span_s: first and last moment in seconds; None for all of it.
        box: (x0, y0, x1, y1) in pixels of the upright original; None for the whole picture.
        size: (width, height) of the upright original in pixels; (0, 0) where there is no box.
        mask: the pixels that belong to the item, of the original's size; None for all in the box.
    """

    span_s: Span | None = None
    box: Box | None = None
    size: tuple[int, int] = (0, 0)
    mask: Rle | None = None

    @property
    def name(self) -> str:
        """Text that is another for another piece; decoded pieces are found again by it, so that no digit is left out.

        Example:
            >>> Piece(span_s=(1.5, 3)).name, Piece(box=(0, 2, 10, 8), size=(20, 10)).name
            ('1.5-3.0s', '0.0,2.0,10.0,8.0px')
        """
        span = f"{float(self.span_s[0])}-{float(self.span_s[1])}s" if self.span_s else ""
        box = ",".join(str(float(value)) for value in self.box) + "px" if self.box else ""
        mask = f"|{self.mask.counts.decode('latin-1')}" if self.mask else ""
        return f"{span}{'|' if span and box else ''}{box}{mask}"


@dataclass(frozen=True, eq=False)
class Pieces(Sequence[Piece | None]):
    """The pieces of N items, a column for each property.

    Args:
        spans_s: (N, 2) float64 seconds, NaN for an item without a span.
        boxes: (N, 4) float64 pixels of the upright original, NaN for an item without a box.
        sizes: (N, 2) int64 width and height of that original, zeros for an item without a box.
        masks: (N,) masks, None for an item without one; empty where no item has one.
        scores: (N,) float32 of the objects that a method found, in [0, 1]; None where the pieces were given.
    """

    spans_s: np.ndarray
    boxes: np.ndarray
    sizes: np.ndarray
    masks: Sequence[Rle | None] = ()
    scores: np.ndarray | None = None

    @classmethod
    def of(cls, pieces: Sequence[Piece | None], scores: np.ndarray | None = None) -> Pieces:
        """The columns of pieces, None for a whole file."""
        nothing = Piece()
        known = [piece or nothing for piece in pieces]
        spans = np.array([p.span_s or (np.nan,) * 2 for p in known], np.float64).reshape(-1, 2)
        boxes = np.array([p.box or (np.nan,) * 4 for p in known], np.float64).reshape(-1, 4)
        sizes = np.array([p.size for p in known], np.int64).reshape(-1, 2)
        return cls(spans, boxes, sizes, known_masks([p.mask for p in known]), scores)

    def __len__(self) -> int:
        return len(self.spans_s)

    def __getitem__(self, row):  # a whole number, never a slice
        row = int(row)
        span, box = self.spans_s[row].tolist(), self.boxes[row].tolist()
        has_span, has_box = span[0] == span[0], box[0] == box[0]  # not NaN
        if not has_span and not has_box:
            return None
        size = tuple(self.sizes[row].tolist())
        return Piece(
            tuple(span) if has_span else None, tuple(box) if has_box else None, size, self.masks[row] if self.masks else None
        )

    @cached_property
    def has_spans(self) -> bool:
        """Whether an item is a span."""
        return bool(np.isfinite(self.spans_s).any())

    @cached_property
    def has_boxes(self) -> bool:
        """Whether an item is a box, perhaps with a mask."""
        return bool(np.isfinite(self.boxes).any())

    @property
    def has_masks(self) -> bool:
        """Whether an item is a mask."""
        return len(self.masks) > 0

    def take(self, rows: Sequence[int] | np.ndarray) -> Pieces:
        """Those of some items, in this order."""
        at = np.asarray(rows, np.int64)
        masks = known_masks([self.masks[i] for i in at.tolist()] if self.masks else ())
        scores = None if self.scores is None else self.scores[at]
        return replace(self, spans_s=self.spans_s[at], boxes=self.boxes[at], sizes=self.sizes[at], masks=masks, scores=scores)

    @property
    def fractions(self) -> np.ndarray:
        """(N, 4) boxes as fractions of the upright original, NaN for an item without one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.boxes / np.tile(self.sizes, 2)

    def columns(self) -> dict[str, np.ndarray]:
        """The columns of labels.csv: start_s and end_s where an item has a span, x0 to y1 in pixels where one has a box; NaN for
        an item without.
        """
        spans = dict(zip(SPAN_COLUMNS, self.spans_s.T)) if self.has_spans else {}
        boxes = dict(zip(BOX_COLUMNS, self.boxes.T)) if self.has_boxes else {}
        return spans | boxes


def short_number(value: float) -> str:
    """Seconds or pixels as text, with at most three digits after the point.

    Example:
        >>> short_number(1.5), short_number(20.0), short_number(0.33333)
        ('1.5', '20', '0.333')
    """
    return f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")


def known_masks(masks: Sequence[Rle | None]) -> Sequence[Rle | None]:
    """Masks, or nothing where no item has one."""
    return masks if any(mask is not None for mask in masks) else ()


def joined_pieces(parts: Sequence[tuple[int, Pieces | None]]) -> Pieces | None:
    """The pieces of several tables, one after the other; None where none has any.

    Args:
        parts: of each table the number of its items, and its pieces or None.
    """
    if all(pieces is None for _, pieces in parts):
        return None
    filled = [pieces if pieces is not None else Pieces.of([None] * n) for n, pieces in parts]
    masks: list[Rle | None] = [mask for p in filled for mask in (p.masks or [None] * len(p))]
    scores = [p.scores if p.scores is not None else np.full(len(p), np.nan, np.float32) for p in filled]
    return Pieces(
        np.concatenate([p.spans_s for p in filled]),
        np.concatenate([p.boxes for p in filled]),
        np.concatenate([p.sizes for p in filled]),
        known_masks(masks),
        np.concatenate(scores) if any(p.scores is not None for p in filled) else None,
    )
