"""A piece as columns of tables, as text in the names of files, and as fractions of its picture.

Seconds and pixels as in labels.csv: start_s, end_s, x0, y0, x1, y1, of which a run has those that its items need.
"""

from __future__ import annotations

from collections.abc import Sequence

from selflabel.items import Piece, Pieces
from selflabel.items.piece import BOX_COLUMNS, DIGITS, SPAN_COLUMNS, short_number

FRACTION_DIGITS = 8  # of fractions of a side


def piece_columns(pieces: Pieces | None) -> list[str]:
    """The columns that the pieces of a run need; none for whole files."""
    return [] if pieces is None else list(pieces.columns())


def piece_values(piece: Piece | None, columns: Sequence[str]) -> list[float | None]:
    """The values of a piece in these columns, rounded; None for what it does not have."""
    if piece is None:
        return [None] * len(columns)
    known = dict(zip(SPAN_COLUMNS, piece.span_s or ())) | dict(zip(BOX_COLUMNS, piece.box or ()))
    return [None if column not in known else round(known[column], DIGITS) for column in columns]


def piece_texts(piece: Piece | None, columns: Sequence[str]) -> list[str]:
    """The cells of a piece in these columns; "" for what it does not have.

    Example:
        >>> piece_texts(Piece(span_s=(0.5, 2.0)), ["start_s", "end_s", "x0"])
        ['0.5', '2', '']
    """
    return ["" if value is None else short_number(value) for value in piece_values(piece, columns)]


def piece_words(piece: Piece | None) -> str:
    """A piece as people read it; "" for a whole file.

    Example:
        >>> piece_words(Piece(span_s=(0.5, 2.0))), piece_words(Piece(box=(0, 2, 10, 8), size=(20, 10)))
        ('0.5–2 s', '10 x 6 px at 0, 2')
    """
    if piece is None:
        return ""
    words = [f"{short_number(piece.span_s[0])}–{short_number(piece.span_s[1])} s"] if piece.span_s else []
    if piece.box:
        x0, y0, x1, y1 = piece.box
        words.append(f"{short_number(x1 - x0)} x {short_number(y1 - y0)} px at {short_number(x0)}, {short_number(y0)}")
    return ", ".join(words)


def piece_suffix(piece: Piece | None) -> str:
    """What tells the file of a piece from those of others in the same file, in an order that file managers keep; "" for a whole
    file.

    Example:
        >>> piece_suffix(Piece(span_s=(12.0, 15.0))), piece_suffix(Piece(span_s=(12.25, 15.0)))
        ('_00012.0-00015.0s', '_00012.250-00015.000s')
        >>> piece_suffix(Piece(box=(12, 40, 100, 180.4), size=(640, 480)))
        '_0012-0040-0100-0180'
    """
    if piece is None:
        return ""
    text = ""
    if piece.span_s:
        digits = 1 if all(abs(second - round(second, 1)) < 0.0005 for second in piece.span_s) else DIGITS
        start, end = (f"{second:0{6 + digits}.{digits}f}" for second in piece.span_s)
        text += f"_{start}-{end}s"
    if piece.box:
        text += "_" + "-".join(f"{round(side):04d}" for side in piece.box)
    return text


def relative_box(piece: Piece | None, size: tuple[int, int]) -> list[float]:
    """(x, y, width, height) of a piece's box as fractions of its picture's (width, height) in pixels; without a box all of it."""
    if piece is None or piece.box is None:
        return [0.0, 0.0, 1.0, 1.0]
    (x0, y0, x1, y1), (width, height) = piece.box, size
    return [round(value, FRACTION_DIGITS) for value in (x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height)]
