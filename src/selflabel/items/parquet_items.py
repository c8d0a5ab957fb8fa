"""Items of a .parquet table that holds the pictures, films or sounds themselves, as Hugging Face's `datasets` writes it.

A column is binary, or has the fields `bytes` and `path`; its cells are read in place. Where a cell has no bytes, its path names a
file. A table without such a column is a manifest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.text import as_utf8, is_utf8
from selflabel.items.embeddings import read_vectors, vector_column, with_vectors
from selflabel.items.endings import ENDINGS, KINDS, MODALITIES, ending_of
from selflabel.items.given_pieces import read_pieces_of_rows
from selflabel.items.grouping import modalities_of
from selflabel.items.manifest import class_name, from_manifest, manifest_file
from selflabel.items.parquet_cells import read_cell
from selflabel.items.piece import PIECE_COLUMNS, Pieces
from selflabel.items.rows import TRUTH_COLUMNS, Rows, check_count, cut
from selflabel.items.skipped import Skipped
from selflabel.items.table import Blob, Blobs, Items, JoinedBlobs

SIGNATURES = (
    (0, b"\x89PNG", ".png"), (0, b"\xff\xd8\xff", ".jpg"), (0, b"GIF8", ".gif"), (0, b"BM", ".bmp"), (8, b"WEBP", ".webp"),
    (0, b"II*\x00", ".tif"), (0, b"MM\x00*", ".tif"), (8, b"WAVE", ".wav"), (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"),
    (0, b"ID3", ".mp3"), (0, b"\xff\xfb", ".mp3"), (4, b"ftypM4A", ".m4a"), (4, b"ftypavif", ".avif"), (4, b"ftyp", ".mp4"),
    (0, b"\x1a\x45\xdf\xa3", ".mkv"), (8, b"AVI ", ".avi"),
)  # fmt: skip
NO_CELL = "the cell is empty"
SNIFFED_ROWS = 8  # at the beginning of a column, that show what it holds


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


def from_parquet(file: Path, follow_links: bool = False) -> Items:
    """The items of a .parquet table: of its cells, or of the files that it names.

    Raises:
        UserError: it cannot be read, or has neither.
    """
    import pyarrow.parquet as pq

    try:
        with open_regular(file):  # a named pipe would wait for ever
            pass
        table = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
        columns = media_columns(file, table.schema_arrow)
        if not columns or not table.metadata.num_rows:
            return from_manifest(file, follow_links)
        check_count(file, table.metadata.num_rows)
        return from_cells(file, table, columns, follow_links)
    except (OSError, ValueError, LookupError, RuntimeError, TypeError) as error:
        raise UserError(f"{file}: cannot be read as a .parquet table ({str(error)[:200]}).") from error


def holds_media(file: Path) -> bool:
    """Whether a .parquet table holds the bytes of its items; False where it cannot be read."""
    import pyarrow.parquet as pq

    try:
        return bool(media_columns(file, pq.read_schema(file)))
    except (OSError, ValueError, LookupError, RuntimeError, TypeError):
        return False


def media_columns(file: Path, schema: Any) -> list[Column]:
    """The columns that hold bytes of media; of equal kinds the first is the one that is used."""
    import pyarrow as pa

    columns = []
    for field in schema:
        names = ""
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            leaf, kind = f"{field.name}.bytes", field.type.field("bytes").type
            names = f"{field.name}.path" if field.type.get_field_index("path") >= 0 else ""
        else:
            leaf, kind = field.name, field.type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)) or "." in field.name or not is_utf8(leaf):
            continue
        ending = first_ending(file, leaf)
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


def from_cells(file: Path, table: Any, columns: list[Column], follow_links: bool) -> Items:
    """The items of a table with columns of media."""
    used = {kind: next(c for c in columns if c.kind == kind) for kind in KINDS if any(c.kind == kind for c in columns)}
    n = table.metadata.num_rows
    blobs: dict[str, Blobs] = {}
    has = np.zeros(n, bool)
    first = next(iter(used.values()))
    names = column_texts(table, first.names) if first.names else []
    for kind, column in used.items():
        filled = filled_rows(table, column.leaf)
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
    pieces, bad, reader = read_pieces_of_rows(file, column_names(file), rows)
    kept = [row for row in range(len(items)) if row not in bad]
    skipped = [Skipped(items.paths[row], reason, pieces[row], reader.row_name(row + 1)) for row, reason in bad.items()]
    taken = items.take(kept, list(skipped))
    if not any(piece is not None for piece in pieces):
        return taken, kept
    return taken.with_pieces(Pieces.of([pieces[row] for row in kept]), [reader.row_name(row + 1) for row in kept]), kept


def column_names(file: Path) -> list[str]:
    """The names of the columns of a .parquet table."""
    import pyarrow.parquet as pq

    return list(pq.read_schema(file).names)


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


def filled_rows(table: Any, leaf: str) -> np.ndarray:
    """(N,) whether a cell of a column has bytes."""
    metadata, filled = table.metadata, []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == leaf)
        nulls = chunk.statistics.null_count if chunk.statistics is not None and chunk.statistics.has_null_count else None
        if nulls in (0, group.num_rows):
            filled.append(np.full(group.num_rows, nulls == 0))
            continue
        for batch in table.iter_batches(64, row_groups=[number], columns=[leaf], use_threads=False):
            filled.append(~np.asarray(leaf_of(batch, leaf).is_null()))
    return np.concatenate(filled) if filled else np.zeros(0, bool)


def leaf_of(batch: Any, leaf: str) -> Any:
    """The cells of a column, or of a field of it."""
    column = batch.column(0)
    for name in leaf.split(".")[1:]:
        column = column.field(name)
    return column


def column_texts(table: Any, leaf: str) -> list[str]:
    """The texts of a column, "" for an empty cell."""
    batches = table.iter_batches(4096, columns=[leaf], use_threads=False)
    return [as_utf8(str(cut(value) or "")) for batch in batches for value in leaf_of(batch, leaf).to_pylist()]


def cell_paths(column: Column, names: list[str], n: int) -> list[str]:
    """What people see of the items: the cells' own file names where no two are equal, or the number of the row."""
    ending = column.ending or {"audio": ".wav", "video": ".mp4"}.get(column.kind, ".png")
    if names and all(names) and len(set(names)) == n and all(ending_of(name) in ENDINGS for name in names):
        return names
    return [f"{row:06d}{ending}" for row in range(n)]


def cell_truth(table: Any) -> list[str] | None:
    """The class of every row, by the names that `datasets` stores for its numbers; None without a column of classes."""
    import pyarrow as pa

    schema = table.schema_arrow
    known = (c for c in TRUTH_COLUMNS if c in schema.names and not pa.types.is_nested(schema.field(c).type))
    column = next((c for c in known if not pa.types.is_binary(schema.field(c).type)), None)
    if column is None:
        return None
    names = class_names(schema.metadata or {}, column)
    values = [v for batch in table.iter_batches(4096, columns=[column], use_threads=False) for v in batch.column(0).to_pylist()]
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
