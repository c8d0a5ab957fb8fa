"""The pieces that a table gives its rows: the columns start_s and end_s in seconds, and x0, y0, x1 and y1 in pixels.

What can be checked without the file is checked here; `decode.fitting` holds the pieces against the files. A row whose cells are
all empty is the whole file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.base.text import printable, shortened
from selflabel.items.piece import BOX_COLUMNS, LONGEST_S, PIECE_COLUMNS, SPAN_COLUMNS, Piece

PARTS_COLUMNS = frozenset({"id", "mask", "width", "height", *PIECE_COLUMNS})  # of a run's parts.parquet
JSON_ENDINGS = (".json", ".jsonl")


class NoPiece(Exception):
    """The cells of a row are no piece of a file; the text says why."""


class PieceReader:
    """Reads the pieces of the rows of a table.

    Args:
        file: the table.
        header: the names of its columns; of JSON, where every row may have others, those that were seen so far.

    Raises:
        UserError: it has some columns of a span or box and lacks others, or is the parts.parquet of a run.
    """

    def __init__(self, file: Path, header: Iterable[str]):
        self.file, names = file, set(header)
        self.names = names.intersection(PIECE_COLUMNS)
        if names >= PARTS_COLUMNS:
            raise UserError(
                f"{file}: holds the pieces of a run as fractions of its pictures; give the run's labels.csv, which has pixels."
            )
        for columns in (SPAN_COLUMNS, BOX_COLUMNS):
            lacking = [c for c in columns if c not in names]
            if 0 < len(lacking) < len(columns) and file.suffix.lower() not in JSON_ENDINGS:
                known = next(c for c in columns if c in names)
                raise UserError(f"{file}: has the column {known} and not {lacking[0]}; it needs {', '.join(columns)} together.")
        self.has_spans, self.has_boxes = (not names.isdisjoint(columns) for columns in (SPAN_COLUMNS, BOX_COLUMNS))

    def __bool__(self) -> bool:
        return self.has_spans or self.has_boxes

    def with_columns_of(self, row: Mapping[str, Any]) -> PieceReader:
        """The reader of a table one of whose rows has these columns, too."""
        return self if self.names.issuperset(row.keys() & set(PIECE_COLUMNS)) else PieceReader(self.file, {*self.names, *row})

    def row_name(self, number: int) -> str:
        """What a row is called, counted from 1 below the header; "" in a table without pieces."""
        return f"row {number:,} of {self.file.name}" if self else ""

    def read(self, row: Mapping[str, Any]) -> tuple[Piece | None, str]:
        """(piece as it is written, None for the whole file; why it cannot be one, or "")."""
        span: tuple[float, ...] | None = None
        box: tuple[float, ...] | None = None
        try:
            span = numbers_of(row, SPAN_COLUMNS) if self.has_spans else None
            box = numbers_of(row, BOX_COLUMNS) if self.has_boxes else None
        except NoPiece as error:
            return written_piece(row, self), str(error)
        if span is None and box is None:
            return None, ""
        piece = Piece(span, box)  # type: ignore[arg-type]
        return piece, span_problem(span) or box_problem(box)


def numbers_of(row: Mapping[str, Any], columns: Iterable[str]) -> tuple[float, ...] | None:
    """The numbers in cells; None where all are empty. Raises NoPiece."""
    cells = [(name, row.get(name)) for name in columns]
    empty = [name for name, cell in cells if cell is None or cell == ""]
    if len(empty) == len(cells):
        return None
    if empty:
        raise NoPiece(f"its {empty[0]} is empty")
    return tuple(number_of(name, cell) for name, cell in cells)


def number_of(name: str, cell: Any) -> float:
    """The finite number in a cell. Raises NoPiece."""
    try:
        value = math.nan if isinstance(cell, bool) else float(cell)
    except OverflowError:
        value = math.inf
    except (ValueError, TypeError):
        raise NoPiece(f"its {name} is no number ({printable(shortened(str(cell), 40))!r})") from None
    if not math.isfinite(value):
        raise NoPiece(f"its {name} is no finite number")
    return value


def written_piece(row: Mapping[str, Any], reader: PieceReader) -> Piece:
    """What of a piece is written in cells, NaN for what is no number: it is listed, and never used."""

    def values(columns: Iterable[str]) -> Any:
        return tuple(number_or_nan(row.get(name)) for name in columns)

    return Piece(values(SPAN_COLUMNS) if reader.has_spans else None, values(BOX_COLUMNS) if reader.has_boxes else None)


def number_or_nan(cell: Any) -> float:
    try:
        return number_of("", cell)
    except NoPiece:
        return math.nan


def span_problem(span: Sequence[float] | None) -> str:
    """Why a span can be that of no file, or "".

    Example:
        >>> [span_problem(span) for span in (None, (-1, 2), (2, 1), (1, 1), (-2, -1))]
        ['', '', 'its span ends before it begins', 'its span is empty', 'its span lies outside the file']
    """
    if span is None:
        return ""
    start, end = span
    if end <= start:
        return "its span is empty" if end == start else "its span ends before it begins"
    return "its span lies outside the file" if end <= 0 or start >= LONGEST_S else ""


def box_problem(box: Sequence[float] | None) -> str:
    """Why a box can be that of no picture, or "".

    Example:
        >>> [box_problem(box) for box in (None, (-1, 0, 2, 2), (2, 0, 1, 2), (0, 1, 2, 1), (-2, 0, 0, 5))]
        ['', '', 'its box is reversed', 'its box is empty', 'its box lies outside the picture']
    """
    if box is None:
        return ""
    x0, y0, x1, y1 = box
    if x1 < x0 or y1 < y0:
        return "its box is reversed"
    if x1 == x0 or y1 == y0:
        return "its box is empty"
    return "its box lies outside the picture" if x1 <= 0 or y1 <= 0 else ""


def read_pieces_of_rows(
    file: Path, header: Iterable[str], rows: Iterable[Mapping[str, Any]]
) -> tuple[list[Piece | None], dict[int, str], PieceReader]:
    """The pieces of all rows of a table.

    Returns:
        (N,) pieces as they are written, None for whole files; the rows that cannot be used, with the reason; and the reader,
        which knows what a row is called and is False where the table has no columns of pieces.
    """
    reader = PieceReader(file, header)
    pieces: list[Piece | None] = []
    bad: dict[int, str] = {}
    for number, row in enumerate(rows):
        reader = reader.with_columns_of(row)
        piece, reason = reader.read(row)
        pieces.append(piece)
        if reason:
            bad[number] = reason
    return pieces, bad, reader
