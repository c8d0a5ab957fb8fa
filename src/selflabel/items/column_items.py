"""Items of a .parquet or .arrow table that holds the pictures, films or sounds, as Hugging Face's `datasets` writes it.

A column is binary, or has the fields `bytes` and `path`; its cells are read in place. Where a cell has no bytes, its path names a
file. A table without such a column is a manifest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.text import as_utf8, is_utf8, printable, shortened
from selflabel.items.arrow_tables import ArrowTable
from selflabel.items.column_tables import READ_ERRORS, ParquetTable, open_table, schema_of
from selflabel.items.embeddings import read_vectors, vector_column, with_vectors
from selflabel.items.endings import COLUMN_ENDINGS, ENDINGS, KINDS, MODALITIES, ending_of
from selflabel.items.given_pieces import read_pieces_of_rows
from selflabel.items.grouping import modalities_of
from selflabel.items.manifest import class_name, from_manifest, manifest_file
from selflabel.items.piece import PIECE_COLUMNS, Pieces
from selflabel.items.rows import TRUTH_COLUMNS, Rows, check_count, cut
from selflabel.items.skipped import Skipped
from selflabel.items.table import Blob, Blobs, Items, JoinedBlobs
from selflabel.items.table_cells import read_cell

SIGNATURES = (
    (0, b"\x89PNG", ".png"), (0, b"\xff\xd8\xff", ".jpg"), (0, b"GIF8", ".gif"), (0, b"BM", ".bmp"), (8, b"WEBP", ".webp"),
    (0, b"II*\x00", ".tif"), (0, b"MM\x00*", ".tif"), (8, b"WAVE", ".wav"), (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"),
    (0, b"ID3", ".mp3"), (0, b"\xff\xfb", ".mp3"), (4, b"ftypM4A", ".m4a"), (4, b"ftypavif", ".avif"), (4, b"ftyp", ".mp4"),
    (0, b"\x1a\x45\xdf\xa3", ".mkv"), (8, b"AVI ", ".avi"),
)  # fmt: skip
NO_CELL = "the cell is empty"
SNIFFED_ROWS = 8  # at the beginning of a column, that show what it holds
Table = ParquetTable | ArrowTable


@dataclass(frozen=True)
class Column:
    """A column of pictures, films or sounds.

    Attributes:
        name: as people see it.
        leaf: path of its bytes, as "image.bytes".
        names: path of its file names, "" without any.
        ending: of its first cell.
        kind: "image", "video" or "audio".
    """

    name: str
    leaf: str
    names: str
    ending: str
    kind: str


class CellFiles(Sequence[Blob]):
    """Cells of a column; a blob is made when it is needed."""

    def __init__(self, file: Path, leaf: str, n: int):
        self.file, self.leaf, self.n = str(file), leaf, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row):  # a whole number, never a slice
        return Blob(self.file, inside=f"cell:{self.leaf}:{int(row)}")


def from_column_table(file: Path, follow_links: bool = False) -> Items:
    """The items of a .parquet or .arrow table: of its cells, or of the files that it names.

    Raises:
        UserError: it cannot be read, or has neither.
    """
    try:
        with open_regular(file):  # a named pipe would wait for ever
            pass
        table = open_table(file)
        columns = media_columns(file, table)
        if not columns or not table.n_rows:
            return from_manifest(file, follow_links)
        check_count(file, table.n_rows)
        return from_cells(file, table, columns, follow_links)
    except READ_ERRORS as error:
        raise unreadable(file, error) from error


def holds_media(file: Path) -> bool:
    """Whether a file is a .parquet or .arrow table with the bytes of its items; False where it cannot be read."""
    try:
        return file.suffix.lower() in COLUMN_ENDINGS and bool(media_columns(file, open_table(file)))
    except READ_ERRORS:
        return False


def names_of_cells(file: Path) -> list[str]:
    """The files that the cells without bytes of a table of media name. Raises UserError where it cannot be read."""
    try:
        table = open_table(file)
        columns = [column for column in media_columns(file, table) if column.names]
        pairs = [(table.filled(column.leaf), column_texts(table, column.names)) for column in columns]
    except READ_ERRORS as error:
        raise unreadable(file, error) from error
    return [name for filled, names in pairs for row, name in enumerate(names) if name and not filled[row]]


def unreadable(file: Path, error: BaseException) -> UserError:
    """The error of a table that pyarrow cannot read."""
    reason = shortened(printable(str(error)), 200)
    return UserError(f"{file}: cannot be read as a {file.suffix.lower()} table ({reason}).")


def media_columns(file: Path, table: Table) -> list[Column]:
    """The columns that hold bytes of media; of equal kinds the first is the one that is used."""
    import pyarrow as pa

    columns = []
    for field in table.schema:
        names = ""
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            leaf, kind = f"{field.name}.bytes", field.type.field("bytes").type
            names = f"{field.name}.path" if field.type.get_field_index("path") >= 0 else ""
        else:
            leaf, kind = field.name, field.type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)) or "." in field.name or not is_utf8(leaf):
            continue
        ending = first_ending(file, leaf) or (first_named_ending(table, names) if names else "")
        if ending or names:
            media = field.name if field.name in KINDS else ENDINGS.get(ending, "image")
            columns.append(Column(field.name, leaf, names, ending, media))
    return columns


def first_ending(file: Path, leaf: str) -> str:
    """The ending for what the first cells hold, "" where nothing is known of it."""
    for row in range(SNIFFED_ROWS):
        try:
            head = read_cell(str(file), leaf, row)[:16]
        except OSError:
            return ""
        ending = next((e for at, signature, e in SIGNATURES if head[at:].startswith(signature)), "")
        if ending or head:
            return ending
    return ""


def first_named_ending(table: Table, names: str) -> str:
    """The ending of the first file name in a column; "" where the first rows have none."""
    batch = next(table.batches([names]), None)
    texts = batch[0][:SNIFFED_ROWS].to_pylist() if batch else []
    return next((ending_of(text) for text in texts if text), "")


def from_cells(file: Path, table: Table, columns: list[Column], follow_links: bool) -> Items:
    """The items of a table with columns of media."""
    used = {kind: next(c for c in columns if c.kind == kind) for kind in KINDS if any(c.kind == kind for c in columns)}
    n = table.n_rows
    blobs: dict[str, Blobs] = {}
    has = np.zeros(n, bool)
    first = next(iter(used.values()))
    names = column_texts(table, first.names) if first.names else []
    for kind, column in used.items():
        filled = table.filled(column.leaf)
        files = names if column is first else (column_texts(table, column.names) if column.names else [])
        blobs[kind] = cells_or_files(file, column, filled, files, follow_links)
        has |= blobs[kind].rows >= 0
    paths = cell_paths(first, names, n)
    by_modality = modalities_of(blobs)
    items = Items(
        str(file),
        paths,
        {m: by_modality[m] for m in MODALITIES if m in by_modality},
        truth=cell_truth(table),
        notes=[f"{file}: column {c.name!r} is not used" for c in columns if c not in used.values()],
    )
    items, kept = with_pieces_of_rows(items, file)
    has = has[kept]
    vectors = vector_column(file)
    if vectors:
        cells = read_vectors(file, vectors)
        unfound = dict.fromkeys(np.flatnonzero(~has).tolist(), NO_CELL)
        return with_vectors(items, [cells[row] for row in kept], vectors, unfound)
    known = items.paths
    rows, empty = np.flatnonzero(has).tolist(), np.flatnonzero(~has).tolist()
    if not rows:
        raise UserError(f"{file}: every cell of the column {first.name!r} is empty.")
    return items.take(rows, [(known[i], NO_CELL) for i in empty])


def with_pieces_of_rows(items: Items, file: Path) -> tuple[Items, list[int]]:
    """(the rows of a table as the pieces that its columns name, without those that are none; which rows these are)."""
    rows = Rows(file, frozenset(PIECE_COLUMNS))
    pieces, bad, reader = read_pieces_of_rows(file, schema_of(file).names, rows)
    kept = [row for row in range(len(items)) if row not in bad]
    skipped = [Skipped(items.paths[row], reason, pieces[row], reader.row_name(row + 1)) for row, reason in bad.items()]
    taken = items.take(kept, list(skipped))
    if not any(piece is not None for piece in pieces):
        return taken, kept
    return taken.with_pieces(Pieces.of([pieces[row] for row in kept]), [reader.row_name(row + 1) for row in kept]), kept


def cells_or_files(file: Path, column: Column, filled: np.ndarray, names: list[str], follow_links: bool) -> Blobs:
    """The blob of each cell: its bytes, or else the file that its path names."""
    n = len(filled)
    cells = CellFiles(file, column.leaf, n)
    if filled.all() or not names:
        return Blobs(cells, np.where(filled, np.arange(n), -1))
    root = file.parent.resolve()
    found = {row: manifest_file(root, names[row], follow_links) for row in np.flatnonzero(~filled).tolist()}
    others = [Blob(str(place)) for reason, place in found.values() if not reason]
    rows = np.where(filled, np.arange(n), -1)
    rows[[row for row, (reason, _) in found.items() if not reason]] = n + np.arange(len(others))
    return Blobs(JoinedBlobs([cells, others]), rows)  # type: ignore[arg-type]


def column_texts(table: Table, leaf: str) -> list[str]:
    """The texts of a column, "" for an empty cell."""
    return [as_utf8(str(cut(value) or "")) for [cells] in table.batches([leaf]) for value in cells.to_pylist()]


def cell_paths(column: Column, names: list[str], n: int) -> list[str]:
    """What people see of the items: the cells' own file names where no two are equal, or the number of the row."""
    ending = column.ending or {"audio": ".wav", "video": ".mp4"}.get(column.kind, ".png")
    if names and all(names) and len(set(names)) == n and all(ending_of(name) in ENDINGS for name in names):
        return names
    return [f"{row:06d}{ending}" for row in range(n)]


def cell_truth(table: Table) -> list[str] | None:
    """The class of every row, by the names that `datasets` stores for its numbers; None without a column of classes."""
    import pyarrow as pa

    schema = table.schema
    known = (c for c in TRUTH_COLUMNS if c in schema.names and not pa.types.is_nested(schema.field(c).type))
    column = next((c for c in known if not pa.types.is_binary(schema.field(c).type)), None)
    if column is None:
        return None
    names = class_names(schema.metadata or {}, column)
    values = [value for [cells] in table.batches([column]) for value in cells.to_pylist()]
    if not names:
        return [class_name(cut(v)) for v in values]
    return [names[v] if isinstance(v, int) and 0 <= v < len(names) else "" for v in values]


def class_names(metadata: dict[bytes, bytes], column: str) -> list[str]:
    """The names of the classes of a column of numbers, as `datasets` writes them; empty where there are none."""
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        return [class_name(name) for name in feature["names"]]
    except (LookupError, ValueError, TypeError, RecursionError):
        return []
