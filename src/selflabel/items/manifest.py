"""Items of a manifest: a .csv, .tsv, .jsonl, .json or .parquet table with a column of paths, of features, or of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.text import as_utf8, is_utf8, printable, shortened
from selflabel.items.embeddings import vector_column, with_vectors
from selflabel.items.endings import ENDINGS, MODALITIES, ending_of
from selflabel.items.files import OutsideFolder, file_below
from selflabel.items.given_pieces import PieceReader
from selflabel.items.grouping import modalities_of
from selflabel.items.piece import Piece, Pieces
from selflabel.items.row_paths import row_path
from selflabel.items.rows import CAPTIONS, KNOWN, PATH_COLUMNS, TRUTH_COLUMNS, Rows
from selflabel.items.skipped import Skipped, as_skipped
from selflabel.items.table import Blob, Items
from selflabel.items.unread import NOT_UTF8

MAX_NAME = 4096  # characters of a path
NO_CLASS = frozenset({"", "nan", "null"})  # what tables write for a missing value
NAMES_KEPT = 4096  # whose files are looked up once: rows that are pieces of few files
OWN_COLUMNS = frozenset({"path", "label", "confidence"})  # of the tables of labels that selflabel writes


def from_manifest(file: Path, follow_links: bool = False) -> Items:
    """The items of a manifest: relative paths may not leave its folder, absolute ones are used as they are.

    Args:
        file: a table with a column `path`, or columns `image`, `video`, `audio`; `truth`, `label` or `class` is the truth. Where
            it has a column of features (`vector_cells.VECTOR_COLUMNS`), its rows are labelled by them; where it has columns of
            time spans or boxes (`piece.PIECE_COLUMNS`), its rows are these pieces of the files. A column `captions` names a file
            with what is said in each.
        follow_links: whether links may lead out of the manifest's folder.

    Raises:
        UserError: it cannot be read, has no such column, or names no file.
    """
    vectors = vector_column(file)
    rows = Rows(file, KNOWN | {vectors} if vectors else KNOWN)
    builder = ManifestItems(file.parent.resolve(), follow_links, vectors)
    truth_column = reader = None
    for number, row in enumerate(rows, 1):
        truth_column = truth_column or truth_column_of(rows, row)
        reader = PieceReader(file, rows.header) if reader is None else reader.with_columns_of(row)
        piece, reason = reader.read(row) if reader else (None, "")
        builder.add(row, truth_column, piece, reason, reader.row_name(number + len(rows.bad)))
    builder.skipped += rows.bad
    check_manifest(file, rows, builder)
    notes = list(rows.notes)
    if truth_column is None and OWN_COLUMNS.issubset(rows.header):
        notes.append(f"{file}: its column 'label' is what a run found, and is not taken for truth")
    some = {m: blobs for m, blobs in builder.table.items() if any(blob is not None for blob in blobs)}
    truth = builder.truth if truth_column else None
    captions = builder.captions if any(builder.captions) else ()
    items = Items(str(file), builder.paths, some, truth=truth, skipped=builder.skipped, notes=notes, captions=captions)
    if any(piece is not None for piece in builder.pieces):
        items = items.with_pieces(Pieces.of(builder.pieces), builder.row_names)
    return with_vectors(items, builder.vectors, vectors, builder.unfound) if vectors else items


def truth_column_of(rows: Rows, row: Mapping[str, Any]) -> str | None:
    """The column that is the truth; the labels of a run are none."""
    is_own = OWN_COLUMNS.issubset(rows.header)
    return next((c for c in TRUTH_COLUMNS if c in row and not (is_own and c == "label")), None)


def check_manifest(file: Path, rows: Rows, builder: ManifestItems) -> None:
    """Raise UserError where a manifest names nothing that can be used."""
    if builder.paths:
        return
    if rows.header and not set(PATH_COLUMNS).intersection(rows.header):
        names = shortened(printable(", ".join(rows.header[:20])), 300) + (", ..." if len(rows.header) > 20 else "")
        raise UserError(f"{file}: the manifest has no 'path' column; it has: {names}.")
    if not builder.skipped:
        raise UserError(f"{file}: the manifest is empty; it needs a line per item and a 'path' column.")
    path, reason = builder.skipped[0][0], as_skipped(builder.skipped[0]).text
    count, first = len(builder.skipped), printable(shortened(path))
    raise UserError(f"{file}: none of its {count:,} paths can be used; the first: {first!r} {reason}.")


class ManifestItems:
    """The items of a manifest, row by row.

    Args:
        root: the manifest's folder, resolved.
        follow_links: whether links may lead out of it.
        vector_column: the column of features; "" without one. With one, every row is an item, whether its file is found or not.
    """

    def __init__(self, root: Path, follow_links: bool, vector_column: str = ""):
        self.root, self.vector_column = root, vector_column
        self.find = lru_cache(NAMES_KEPT)(partial(manifest_file, root, follow_links=follow_links))
        self.pieces: list[Piece | None] = []
        self.row_names: list[str] = []
        self.vectors: list[np.ndarray | None] = []
        self.unfound: dict[int, str] = {}
        self.paths: list[str] = []
        self.truth: list[str] = []
        self.captions: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.table: dict[str, list[Blob | None]] = {m: [] for m in MODALITIES}

    def add(
        self, row: Mapping[str, Any], truth_column: str | None, piece: Piece | None = None, no_piece: str = "", row_name: str = ""
    ) -> None:
        """Add the item of a row, or list why it is none.

        Args:
            row: its cells.
            truth_column: the one with its class.
            piece: of the file, as it is written; None for all of it.
            no_piece: why it can be no piece of a file, or "".
            row_name: what the row is called where it is listed.
        """
        columns = [c for c in PATH_COLUMNS if c in row]
        path, blobs, reason = manifest_item(self.root, row, columns, find=self.find)
        if no_piece or (reason and not self.vector_column):
            self.skipped.append(Skipped(path, reason or no_piece, piece, row_name))
            return
        self.pieces.append(piece)
        self.row_names.append(row_name)
        if reason and columns:
            self.unfound[len(self.paths)] = reason
        self.vectors.append(row.get(self.vector_column))
        self.paths.append(path or row_path(len(self.paths)))
        self.truth.append(class_name(row.get(truth_column or "")))
        self.captions.append(self.captions_of(row, row_name))
        for m, column in self.table.items():
            column.append(blobs.get(m))

    def captions_of(self, row: Mapping[str, Any], row_name: str) -> str:
        """The file with an item's captions; "" without one. One that cannot be used is listed, and the item is kept."""
        name = str(row.get(CAPTIONS) or "")
        if not name.strip():
            return ""
        reason, place = self.find(name)
        if reason:
            self.skipped.append(Skipped(as_utf8(shortened(name, 80)), f"captions: {reason}", None, row_name))
        return "" if reason else str(place)


def class_name(value: Any) -> str:
    """The class in a cell of truth; "" for an empty one, which is no class.

    Example:
        >>> [class_name(value) for value in ("cat", 3, None, float("nan"), " NaN")]
        ['cat', '3', '', '', '']
    """
    text = "" if value is None else as_utf8(str(value)).strip()
    return "" if text.lower() in NO_CLASS else text


def manifest_item(
    root: Path,
    row: Mapping[str, Any],
    columns: Iterable[str],
    follow_links: bool = False,
    find: Callable[[str], tuple[str, Path]] | None = None,
) -> tuple[str, dict[str, Blob], str]:
    """(path as people see it, blob of every modality, reason it cannot be used or "") of a line. find: name to file, or None."""
    texts = {c: str(row.get(c) or "") for c in columns}
    path = next((text for text in texts.values() if text), "")
    group: dict[str, Blob] = {}
    for column, name in texts.items():
        if not name and column != "path":
            continue
        reason, place = find(name) if find else manifest_file(root, name, follow_links)
        if reason:
            return as_utf8(shortened(name or path, MAX_NAME if len(name) <= MAX_NAME else 80)), {}, reason
        group.setdefault(kind_of_column(column, name), Blob(str(place)))
    return (path, modalities_of(group), "") if group else (path, {}, "the path is empty")


def path_columns(rows: list[dict]) -> list[str]:
    """The columns that hold paths, `path` first."""
    return [c for c in PATH_COLUMNS if rows and c in rows[0]]


def kind_of_column(column: str, name: str) -> str:
    """What a manifest's cell holds: columns other than `path` are named by it; of a path its ending tells, "image" if none."""
    return column if column != "path" else ENDINGS.get(ending_of(name), "image")


def manifest_file(root: Path, name: str, follow_links: bool = False) -> tuple[str, Path]:
    """(reason it cannot be used or "", file) of a name; `root` is the manifest's folder, resolved.

    Back-slashes divide folders, too, where no file has them in its name.
    """
    reason = unusable_name(name)
    if reason:
        return reason, root
    reason, file = named_file(root, name, follow_links)
    if reason and "\\" in name:
        other, same = named_file(root, name.replace("\\", "/"), follow_links)
        return (other, same) if not other or reason == "no such file" else (reason, file)
    return reason, file


def unusable_name(name: str) -> str:
    """Why a text can be no path, or ""."""
    if not name.strip():
        return "the path is empty"
    if name[:5].lower() == "data:":
        return "holds the bytes themselves, as a data: URI, which is not read; write them to files"
    if len(name) > MAX_NAME:
        return f"is longer than the {MAX_NAME:,} characters that a path may have"
    if "\0" in name:
        return "holds a zero character, which no path does"
    return "" if is_utf8(name) else NOT_UTF8


def named_file(root: Path, name: str, follow_links: bool) -> tuple[str, Path]:
    """(reason it cannot be used or "", file) of a name that is one."""
    file = Path(name)
    try:
        if file.is_absolute():
            return ("", file) if file.is_file() else ("no such file", file)
        return "", file_below(root, name, follow_links)
    except OutsideFolder:
        leads_up = os.path.normpath(name).startswith("..")
        remedy = "write it out in full" if leads_up else "its link is followed with --follow-links"
        return f"the path leaves the manifest's folder; {remedy}", file
    except (OSError, ValueError):  # a name that is too long is an OSError, too
        return "no such file", file
