"""What a table says of a run's items: their classes, groups or labels, by path, by the order of the rows, or by overlap.

A table without spans and boxes gives a value to every item of a file, unless it has the run's own rows in their order: then each
row is that of its item. In a table with spans or boxes an item takes the value of what overlaps it most: of spans that which
covers most of it, of boxes that of the greatest intersection over union; where nothing overlaps it has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.evaluation.overlap import most_covering, most_overlapping, seconds_in
from selflabel.items import Piece, Pieces, read_rows
from selflabel.items.given_pieces import read_pieces_of_rows
from selflabel.regions.boxes import box_ious

NO_CLASS = ("", "nan", "null", "<na>")  # in lower case
WHOLE = np.array([-np.inf, np.inf])
NEARLY_NONE = 1e-9  # overlap of a box with what has none: it counts where nothing else overlaps


@dataclass(frozen=True)
class ValueTable:
    """A column of a table.

    Attributes:
        file: its name.
        paths: (M,) of the rows.
        values: (M,) of the column.
        pieces: (M,) as they are written; None where the table has no spans and boxes.
    """

    file: Path
    paths: list[str]
    values: list[str]
    pieces: Pieces | None = None

    @property
    def by_path(self) -> dict[str, str]:
        """Path to value; where a path has several, the last."""
        return dict(zip(self.paths, self.values))


def read_values(file: Path, names: Sequence[str]) -> ValueTable | None:
    """The first of these columns that a table has; None where it has none, or no paths.

    Raises:
        UserError: the file is not there, or a span or box in it is none.
    """
    if not file.exists():
        raise UserError(f"{file}: there is no such truth file.")
    rows = read_rows(file)
    column = next((name for name in names if rows and name in rows[0]), None)
    if column is None or "path" not in rows[0]:
        return None
    pieces, bad, reader = read_pieces_of_rows(file, rows[0], rows)
    if bad:
        row, reason = next(iter(bad.items()))
        raise UserError(f"{file}: {reader.row_name(row + 1)} cannot be used, {reason}; mend the row, or leave it out.")
    known = Pieces.of(pieces) if any(piece is not None for piece in pieces) else None
    paths, values = ([text_of(row.get(name)) for row in rows] for name in ("path", column))
    return ValueTable(file, paths, values, known)


def text_of(cell: object) -> str:
    """A cell as text, "" for one that is missing, as in a line of JSON."""
    return "" if cell is None else str(cell)


def values_of_items(table: ValueTable, paths: Sequence[str], pieces: Pieces | None, in_order: bool = False) -> list[str | None]:
    """(N,) what a table says of the items of a run; None where it says nothing.

    Args:
        table: see `read_values`.
        paths: (N,) of the items.
        pieces: (N,) of the items; None for whole files.
        in_order: the table was written by the run: a row for each item.
    """
    if (table.pieces is None or in_order) and len(table.paths) == len(paths) and table.paths == list(paths):
        return list(table.values)
    if table.pieces is None:
        by_path = table.by_path
        return [by_path.get(path) for path in paths]
    return values_by_overlap(table, table.pieces, paths, pieces)


def values_by_overlap(table: ValueTable, table_pieces: Pieces, paths: Sequence[str], pieces: Pieces | None) -> list[str | None]:
    """See `values_of_items`; the table has spans or boxes."""
    of_whole, of_pieces = {}, defaultdict(list)
    for row, (path, piece) in enumerate(zip(table.paths, table_pieces)):
        if piece is None:
            of_whole[path] = table.values[row]
        else:
            of_pieces[path].append(row)
    candidates = {path: Candidates.of(table, table_pieces.take(rows), rows) for path, rows in of_pieces.items()}
    found: list[str | None] = []
    for row, path in enumerate(paths):
        piece = None if pieces is None else pieces[row]
        value = of_whole.get(path)
        if path in candidates and not (piece is None and value is not None):
            best = candidates[path].best(piece)
            value = value if best is None else best
        found.append(value)
    return found


@dataclass(frozen=True)
class Candidates:
    """The rows of a table that are pieces of one file, by the beginnings of their spans.

    Attributes:
        spans: (M, 2) seconds, infinite for a row without a span.
        last_ends: (M,) the greatest end of this span and those before it.
        boxes: (M, 4) pixels, NaN for a row without a box.
        values: (M,) of the rows.
    """

    spans: np.ndarray
    last_ends: np.ndarray
    boxes: np.ndarray
    values: list[str]

    @classmethod
    def of(cls, table: ValueTable, pieces: Pieces, rows: Sequence[int]) -> Candidates:
        """The rows of a table as candidates; pieces: theirs."""
        spans = np.where(np.isnan(pieces.spans_s), WHOLE, pieces.spans_s)
        order = np.argsort(spans[:, 0], kind="stable")
        values = [table.values[rows[i]] for i in order.tolist()]
        return cls(spans[order], np.maximum.accumulate(spans[order, 1]), pieces.boxes[order], values)

    def best(self, piece: Piece | None) -> str | None:
        """The value of what overlaps a piece most; None where nothing does."""
        window = WHOLE if piece is None or piece.span_s is None else np.array(piece.span_s)
        first = int(np.searchsorted(self.last_ends, window[0], side="right"))
        near = slice(first, int(np.searchsorted(self.spans[:, 0], window[1], side="left")))
        spans, boxes, values = self.spans[near], self.boxes[near], self.values[near]
        has_box = ~np.isnan(boxes).any(axis=1)
        if not has_box.any():
            return most_covering(spans, values, window)
        inside = seconds_in(spans, window)
        share = np.clip(inside[:, 1] - inside[:, 0], 0, None)
        share = np.where(np.isinf(share), 1.0, share / max(share[np.isfinite(share)].max(initial=0), 1e-12))
        row = most_overlapping(share * box_overlaps(boxes, has_box, piece))
        return None if row is None else values[row]


def box_overlaps(boxes: np.ndarray, has_box: np.ndarray, piece: Piece | None) -> np.ndarray:
    """(M,) overlap of a piece with boxes (M, 4), which are NaN where `has_box` (M,) is False. Of a whole picture the areas."""
    boxes = np.where(has_box[:, None], boxes, 0.0)
    if piece is None or piece.box is None:
        overlap = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    else:
        inside = np.clip(boxes, 0, np.tile(piece.size, 2)) if all(piece.size) else boxes
        overlap = box_ious(inside, np.array([piece.box]))[:, 0]
    return np.where(has_box, overlap, NEARLY_NONE)


def is_class(name: str) -> bool:
    """Whether a cell of a truth names a class: an empty one does not, nor what other programs write for a missing value.

    Example:
        >>> [is_class(name) for name in ("cat", "none", " ", "nan", "NULL", "None")]
        [True, True, False, False, False, False]
    """
    text = name.strip()
    return text.lower() not in NO_CLASS and text != "None"


def classes_of(values: Sequence[str | None]) -> list[str]:
    """(N,) the classes among values, "" for what is none."""
    return [value if value is not None and is_class(value) else "" for value in values]
