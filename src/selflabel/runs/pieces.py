"""A run's parts.parquet: which piece of its file every item is. A run whose items are whole files has none.

A line per item, in the order of the ids: id, path, start_s and end_s in seconds, x0, y0, x1 and y1 as fractions of the upright
original, its width and height in pixels, mask as COCO's compressed run lengths, score of an object that a method found. What an
item does not have is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.rle import MAX_PIXELS, MAX_SIDE, Rle
from selflabel.items import Blob, Piece, Pieces
from selflabel.items.piece import BOX_COLUMNS, LONGEST_S, SPAN_COLUMNS
from selflabel.runs.reading import damaged, read_table
from selflabel.runs.sources import Source
from selflabel.runs.tables import with_nulls, write_table

PARTS = "parts.parquet"
COLUMNS = ("id", "path", *SPAN_COLUMNS, *BOX_COLUMNS, "width", "height", "mask", "score")
PIXEL_DIGITS = 6  # after the point, of boxes that were stored as fractions


def write_pieces(folder: Path, paths: Sequence[str], pieces: Pieces) -> None:
    """Write parts.parquet.

    Args:
        folder: of the run.
        paths: (N,) of the items.
        pieces: (N,) of the items.
    """
    import pyarrow as pa

    n = len(pieces)
    no_score = np.full(n, np.nan, np.float32)
    masks = [None if mask is None else mask.counts for mask in pieces.masks] if pieces.has_masks else [None] * n
    write_table(
        folder / PARTS,
        {
            "id": np.arange(n, dtype=np.int64),
            "path": pa.array(paths, pa.string()),
            **{c: with_nulls(column) for c, column in zip(SPAN_COLUMNS, pieces.spans_s.T)},
            **{c: with_nulls(column) for c, column in zip(BOX_COLUMNS, pieces.fractions.T)},
            "width": pieces.sizes[:, 0],
            "height": pieces.sizes[:, 1],
            "mask": pa.array(masks, pa.binary()),
            "score": with_nulls(no_score if pieces.scores is None else pieces.scores),
        },
    )


def read_pieces(folder: Path, rows: int | None = None) -> Pieces | None:
    """What `write_pieces` wrote, boxes in pixels; None where the run has no parts.parquet.

    Args:
        folder: of the run.
        rows: how many items the run has; None allows any.

    Raises:
        UserError: it cannot be read, or says what no piece is.
    """
    file = folder / PARTS
    if not file.exists():
        return None
    table = read_table(file, ["id", *COLUMNS[2:]], rows)
    if not np.array_equal(numbers(file, table, ("id",))[:, 0], np.arange(len(table))):
        raise damaged(file, "has other ids than 0, 1, 2 and so on")
    spans, fractions, sizes = (numbers(file, table, names) for names in (SPAN_COLUMNS, BOX_COLUMNS, ("width", "height")))
    check_ranges(file, spans, fractions, sizes)
    boxes = np.round(fractions * np.tile(sizes, 2), PIXEL_DIGITS)
    scores = numbers(file, table, ("score",))[:, 0].astype(np.float32)
    if ((scores < 0) | (scores > 1)).any():
        raise damaged(file, "has scores outside 0 to 1")
    whole_sizes = np.nan_to_num(sizes).astype(np.int64)
    return Pieces(spans, boxes, whole_sizes, masks_of(file, table, whole_sizes), None if np.isnan(scores).all() else scores)


def numbers(file: Path, table: Any, names: Sequence[str]) -> np.ndarray:
    """(N, len(names)) float64 of columns, NaN for a missing value. Raises UserError."""
    columns = [table[name].to_numpy(zero_copy_only=False) for name in names]
    try:
        return np.stack([column.astype(np.float64) for column in columns], axis=1)
    except (TypeError, ValueError) as error:
        raise damaged(file, f"its column {names[0]} holds no numbers") from error


def check_ranges(file: Path, spans: np.ndarray, fractions: np.ndarray, sizes: np.ndarray) -> None:
    """Raise UserError where spans or boxes are such as no run writes."""
    for columns, what in ((spans, "spans"), (fractions, "boxes")):
        if not (np.isnan(columns) == np.isnan(columns[:, :1])).all():
            raise damaged(file, f"has {what} of which numbers are missing")
    has_span, has_box = ~np.isnan(spans[:, 0]), ~np.isnan(fractions[:, 0])
    start, end = spans[has_span].T
    x0, y0, x1, y1 = fractions[has_box].T
    sides = sizes[has_box]
    if not ((start >= 0) & (start < end) & (end <= LONGEST_S)).all():
        raise damaged(file, "has spans that end before they begin")
    if not ((x0 >= 0) & (x0 < x1) & (x1 <= 1) & (y0 >= 0) & (y0 < y1) & (y1 <= 1)).all():
        raise damaged(file, "has boxes outside their pictures")
    if not ((sides >= 1) & (sides <= MAX_SIDE)).all() or (sides.prod(axis=1) > MAX_PIXELS).any():
        raise damaged(file, "has pictures of sizes that none has")


def masks_of(file: Path, table: Any, sizes: np.ndarray) -> Sequence[Rle | None]:
    """The masks of a parts.parquet, of pictures of these sizes (N, 2); empty where there is none. Raises UserError."""
    import pyarrow as pa

    column = table["mask"].combine_chunks()
    if not pa.types.is_binary(column.type) and not pa.types.is_null(column.type):
        raise damaged(file, "its column mask holds no masks")
    if column.null_count == len(column):
        return ()
    heights, widths = sizes[:, 1].tolist(), sizes[:, 0].tolist()
    return [None if c is None else Rle(h, w, c) for h, w, c in zip(heights, widths, column.to_pylist())]


def same_pieces(one: Pieces | None, other: Pieces | None) -> bool:
    """Whether two tables of pieces are of the same spans, boxes and masks."""
    if one is None or other is None:
        return one is other
    if len(one) != len(other) or [*one.masks] != [*other.masks]:
        return False
    pairs = ((one.spans_s, other.spans_s), (one.boxes, other.boxes))
    return all(np.allclose(a, b, rtol=0, atol=1e-3, equal_nan=True) for a, b in pairs)


class PiecesOfSource:
    """A source whose items are pieces of its files.

    Args:
        source: of the files.
        pieces: (N,) of the items.
    """

    def __init__(self, source: Source, pieces: Pieces):
        self.source, self.pieces = source, pieces

    @property
    def changed(self) -> set[str]:
        """See `RecordedSource`."""
        return getattr(self.source, "changed", set())

    def blobs(self, row: int) -> dict[str, Blob]:
        """See `Source.blobs`; the blobs carry the item's piece."""
        piece: Piece | None = self.pieces[row]
        return {m: replace(blob, piece=piece) for m, blob in self.source.blobs(row).items()}

    def values(self, row: int) -> np.ndarray:
        """See `Source.values`."""
        return self.source.values(row)
