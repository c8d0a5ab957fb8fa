"""Items that are pieces of files, as the page shows them: where one is in its file, and which others lie in the same."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from selflabel.base.rle import Rle
from selflabel.gallery.editable_run import EditableRun, LabelState
from selflabel.items import Piece, Pieces
from selflabel.runs.missing import Missing
from selflabel.runs.run import Paths

MAX_COUNTS = 2 << 20  # bytes of a mask's run lengths; seconds to read
MAX_NEAR = 20_000  # other pieces of one file that the page gets; those nearest in time, or in the order of the run


class FileParts:
    """The items of a run by their files: 12 bytes an item, worked out when first asked for.

    Args:
        paths: (N,) of the items.
        pieces: (N,) of the items; None for whole files.
    """

    def __init__(self, paths: Paths, pieces: Pieces | None):
        self.paths, self.pieces = paths, pieces

    @cached_property
    def groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N,) the number of each item's file, (N,) rows file by file, and where each file begins among them."""
        files = self.paths.column.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(files))])
        return files, np.argsort(files, kind="stable").astype(np.int32), starts

    def rows(self, row: int) -> np.ndarray:
        """The rows of the same file as `row`, in the order in which they begin, else in that of the run."""
        files, order, starts = self.groups
        rows = order[starts[files[row]] : starts[files[row] + 1]]
        if self.pieces is None or not self.pieces.has_spans:
            return rows
        return rows[np.argsort(self.pieces.spans_s[rows, 0], kind="stable")]  # NaN, a whole file, comes last


def file_parts(run: EditableRun, now: LabelState, parts: FileParts, row: int) -> dict[str, Any]:
    """The items that lie in the same file as an item, itself among them.

    Returns:
        `rows`, the `labels` that the page shows of them, their `spans` in seconds and `boxes` as fractions of the picture (null
        for none), and their `total` number, of which at most 20,000 are listed.
    """
    rows = parts.rows(row)
    near = listed_rows(rows, row)
    values: dict[str, Any] = {"rows": near.tolist(), "labels": now.shown_labels(near).tolist(), "total": len(rows)}
    if parts.pieces is None:
        return values | {"spans": [None] * len(near), "boxes": [None] * len(near)}
    some = parts.pieces.take(near.tolist())
    return values | {"spans": number_lists(some.spans_s, 3), "boxes": number_lists(some.fractions, 6)}


def listed_rows(rows: np.ndarray, row: int) -> np.ndarray:
    """Of the rows of a file those that the page gets: all, or so many around one of them."""
    at = int(np.flatnonzero(rows == row)[0])
    first = max(0, min(at - MAX_NEAR // 2, len(rows) - MAX_NEAR))
    return rows[first : first + MAX_NEAR]


def number_lists(values: np.ndarray, digits: int) -> list[list[float] | None]:
    """The rows of an array (n, D), rounded; None for one with NaN."""
    known = np.isfinite(values).all(axis=1).tolist()
    return [line if ok else None for line, ok in zip(np.round(values, digits).tolist(), known)]


def places(pieces: Pieces | None, rows: list[int]) -> list[dict[str, Any] | None]:
    """Of each of these rows its `span` in seconds, its `box` as fractions, the `size` of its picture and its `score`, each null
    where it has none; null for a whole file.
    """
    if pieces is None:
        return [None] * len(rows)
    some = pieces.take(rows)
    spans, boxes = number_lists(some.spans_s, 3), number_lists(some.fractions, 6)
    scores: list[float | None] = [None] * len(rows) if some.scores is None else list(map(rounded, some.scores.tolist()))
    columns = zip(spans, boxes, some.sizes.tolist(), scores)
    return [
        {"span": span, "box": box, "size": size, "score": score} if span or box else None for span, box, size, score in columns
    ]


def rounded(score: float) -> float | None:
    return None if score != score else round(score, 4)


def piece_details(pieces: Pieces | None, row: int) -> dict[str, Any] | None:
    """What `places` says of a row, its box in pixels (`pixels`), the place of its `mask` as fractions of the picture (null for
    none), and what is wrong with that (`mask_problem`, "" for nothing).
    """
    piece = pieces[row] if pieces is not None else None
    if piece is None:
        return None
    (place,) = places(pieces, [row])
    assert place is not None
    mask, problem = mask_place(piece)
    pixels = [round(value, 2) for value in piece.box] if piece.box else None
    return place | {"pixels": pixels, "mask": mask, "mask_problem": problem}


def mask_place(piece: Piece) -> tuple[list[float] | None, str]:
    """The smallest box around a piece's mask, as fractions of the picture, and "" or why the mask cannot be shown."""
    if piece.mask is None or piece.box is None:
        return None, ""
    try:
        x0, y0, x1, y1 = readable_box(piece.mask)
    except Missing as error:
        return None, str(error)
    width, height = piece.size
    return [x0 / width, y0 / height, x1 / width, y1 / height], ""


def readable_box(mask: Rle) -> tuple[int, int, int, int]:
    """The smallest box around a mask. Raises Missing where it is damaged or empty."""
    try:
        if len(mask.counts) > MAX_COUNTS:
            raise ValueError("its run lengths are too many")
        box = mask.box
    except ValueError as error:
        raise Missing(f"its mask is damaged ({error})") from error
    if box[2] <= box[0]:
        raise Missing("its mask is empty")
    return box
