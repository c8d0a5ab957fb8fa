"""The table of items: what people see of them, and where their bytes are.

A million items take 200 MB: every name is stored once, and a `Blob` is made when it is needed.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, overload

import numpy as np

from selflabel.base.files import open_regular
from selflabel.items.inside import read_inside
from selflabel.items.piece import Piece, Pieces
from selflabel.items.row_paths import RowPaths
from selflabel.items.skipped import Skipped


@dataclass(frozen=True, slots=True)
class Blob:
    """Encoded bytes on disk: a whole file, or a span of a tar; and the piece of the picture, film or sound in them that is meant.

    Args:
        file: its name.
        offset: of the first byte.
        length: in bytes; None reads to the end of the file.
        inside: names the bytes in a file that is not read by its span, such as a member of a .zip; "" otherwise
            (see `items.inside`).
        piece: the time span, box or mask that is the item; None for all of it.
    """

    file: str
    offset: int = 0
    length: int | None = None
    inside: str = ""
    piece: Piece | None = None

    @property
    def is_whole_file(self) -> bool:
        """Whether the bytes are those of the file, so that a decoder may open it by its name."""
        return self.length is None and not self.inside

    def read(self) -> bytes:
        """The bytes.

        Raises:
            OSError: the file cannot be read, is no regular file, or does not hold what `inside` names.
        """
        if self.inside:
            return read_inside(self.file, self.offset, self.length, self.inside)
        with open_regular(self.file) as f:
            f.seek(self.offset)
            return f.read() if self.length is None else f.read(self.length)

    def stamp(self) -> str:
        """Text that changes when the bytes or the piece change: place, size and time of the last change, and the piece.

        Raises:
            OSError: the file is not there.
        """
        status = os.stat(self.file)  # noqa: PTH116
        inside = f"|{self.inside}" if self.inside else ""
        piece = f"|{self.piece.name}" if self.piece else ""
        return f"{self.file}|{self.offset}|{self.length}|{status.st_size}|{status.st_mtime_ns}{inside}{piece}"


class JoinedBlobs(Sequence[Blob | None]):
    """Blobs of several sources, one after the other."""

    def __init__(self, parts: Sequence[Sequence[Blob | None]]):
        self.parts, self.ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, row):  # a whole number, never a slice
        part = bisect_right(self.ends, row)
        return self.parts[part][int(row) - (self.ends[part - 1] if part else 0)]


class PieceBlobs(Sequence[Blob | None]):
    """Blobs of which only a piece is looked at.

    Args:
        blobs: (N,) of the whole files.
        pieces: (N,) of the items.
    """

    def __init__(self, blobs: Sequence[Blob | None], pieces: Pieces):
        self.blobs, self.pieces = blobs, pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, row):  # a whole number, never a slice
        blob = self.blobs[row]
        return None if blob is None else replace(blob, piece=self.pieces[row])


class Blobs(Sequence[Blob | None]):
    """One modality of a table: the blob of every item, None where an item lacks the modality.

    Args:
        files: the files of the source.
        rows: (N,) which of the files is the item's, -1 for none.
    """

    def __init__(self, files: Sequence[Blob], rows: np.ndarray):
        self.files, self.rows = files, rows.astype(np.int32, copy=False)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, item: int) -> Blob | None: ...

    @overload
    def __getitem__(self, item: slice) -> Blobs: ...

    def __getitem__(self, item: int | slice) -> Blob | Blobs | None:
        if isinstance(item, slice):
            return Blobs(self.files, self.rows[item])
        row = self.rows[item]
        return self.files[row] if row >= 0 else None

    def __iter__(self) -> Iterator[Blob | None]:
        files = self.files
        return (files[row] if row >= 0 else None for row in self.rows.tolist())

    def take(self, items: Sequence[int] | np.ndarray) -> Blobs:
        """The blobs of these items, in this order."""
        return Blobs(self.files, self.rows[np.asarray(items, np.int64)])


@dataclass(frozen=True)
class Items:
    """The table, a row per item.

    Args:
        source: what was opened, as errors name it.
        paths: (N,) what people see of the items.
        blobs: modality to (N,) blobs, None where an item lacks the modality; empty for images of an array. Features may have the
            files that they belong to: these are shown and exported, and never decoded for labels.
        array: (N, H, W[, C]) images of any real type, or (N, D) features, float32 or as `shards.ShardedRows`; None for files.
        truth: (N,) class names where the source carries them. They are used for scores only.
        skipped: (path, reason) of what cannot be an item.
        notes: sentences for the user: what was assumed, and what else the source holds that is not read.
        missing: (path, reason) of items that have features, and no file that can be found.
        space_dims: lengths of the feature spaces that lie side by side in the rows of the array; empty for a single one.
        pieces: (N,) the pieces of files that the items are, which their blobs carry; None where every item is a whole file. Then
            paths are no keys: several items may have the same one.
        row_names: (N,) what the items are called where they are listed, as "row 7 of boxes.csv"; empty where paths tell.
        array_files: the files of an array that has several.
        captions: (N,) the files with what is said in the items, that a manifest names, "" for none; empty where it names none.
    """

    source: str
    paths: Sequence[str]
    blobs: Mapping[str, Sequence[Blob | None]] = field(default_factory=dict)
    array: Any = None
    truth: list[str] | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    space_dims: tuple[int, ...] = ()
    pieces: Pieces | None = None
    row_names: Sequence[str] = ()
    array_files: tuple[str, ...] = ()
    captions: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of "image", "video" and "audio", those that the items are labelled by; arrays are images."""
        return ("image",) if self.array is not None else tuple(self.blobs) or ("image",)

    @property
    def are_features(self) -> bool:
        """Whether the items are rows of features, which need no encoder."""
        return self.array is not None and self.array.ndim == 2

    def only(self, modalities: Iterable[str]) -> Items:
        """The table with these modalities only."""
        return self if self.array is not None else replace(self, blobs={m: self.blobs[m] for m in modalities})

    @property
    def without_features(self) -> Items:
        """The files of features, as items that are labelled by their files."""
        return replace(self, array=None, space_dims=(), missing=[])

    def take(self, rows: Sequence[int] | np.ndarray, skipped: list[tuple[str, str]] | None = None) -> Items:
        """The table with these rows only, in this order; `skipped` is added to what was skipped before."""
        if np.array_equal(rows, np.arange(len(self))) and not skipped:
            return self
        return replace(
            self,
            paths=take_paths(self.paths, rows),
            blobs={m: take_blobs(blobs, rows) for m, blobs in self.blobs.items()},
            array=None if self.array is None else take_array(self.array, rows),
            truth=None if self.truth is None else [self.truth[i] for i in rows],
            pieces=None if self.pieces is None else self.pieces.take(rows),
            row_names=[self.row_names[i] for i in rows] if self.row_names else (),
            captions=[self.captions[i] for i in rows] if self.captions else (),
            skipped=[*self.skipped, *(skipped or [])],
        )

    def with_pieces(self, pieces: Pieces, row_names: Sequence[str] = ()) -> Items:
        """The table in which every item (N) is this piece of its file. row_names: see `Items`; without any they are kept."""
        blobs = {m: PieceBlobs(whole, pieces) for m, whole in self.blobs.items()}
        return replace(self, blobs=blobs, pieces=pieces, row_names=row_names or self.row_names)

    def whole(self) -> Items:
        """The table in which every item is its whole file."""
        return replace(self, blobs={m: whole_blobs(blobs) for m, blobs in self.blobs.items()}, pieces=None)

    def skip(self, row: int, reason: str) -> Skipped:
        """The entry of an item that is left out."""
        piece = None if self.pieces is None else self.pieces[row]
        return Skipped(self.paths[row], reason, piece, self.row_names[row] if self.row_names else "")

    def noting(self, skipped: Iterable[tuple[str, str]], notes: Iterable[str]) -> Items:
        """The table with these put before what was skipped, and with these sentences after its own."""
        return replace(self, skipped=[*skipped, *self.skipped], notes=[*self.notes, *notes])


def whole_blobs(blobs: Sequence[Blob | None]) -> Sequence[Blob | None]:
    """Blobs of pieces as those of the whole files."""
    if isinstance(blobs, PieceBlobs):
        return whole_blobs(blobs.blobs)
    return JoinedBlobs([whole_blobs(part) for part in blobs.parts]) if isinstance(blobs, JoinedBlobs) else blobs


def count_present(blobs: Sequence[Blob | None]) -> int:
    """How many items have a file, without making a blob of each where that can be avoided."""
    if isinstance(blobs, PieceBlobs):
        return count_present(blobs.blobs)
    if isinstance(blobs, JoinedBlobs):
        return sum(map(count_present, blobs.parts))
    return int((blobs.rows >= 0).sum()) if isinstance(blobs, Blobs) else sum(blob is not None for blob in blobs)


def take_paths(paths: Sequence[str], rows: Sequence[int] | np.ndarray) -> Sequence[str]:
    """These of the paths; those of rows without names are not made."""
    return paths.take(rows) if isinstance(paths, RowPaths) else [paths[i] for i in rows]


def take_array(array: Any, rows: Sequence[int] | np.ndarray) -> Any:
    """These rows of an array; rows of several files are not read."""
    return array[rows] if isinstance(array, np.ndarray) else array.take(rows)


def take_blobs(blobs: Sequence[Blob | None], rows: Sequence[int] | np.ndarray) -> Sequence[Blob | None]:
    if isinstance(blobs, PieceBlobs):
        return PieceBlobs(take_blobs(blobs.blobs, rows), blobs.pieces.take(rows))
    return blobs.take(rows) if isinstance(blobs, Blobs) else [blobs[i] for i in rows]
