"""A folder that `selflabel embed` wrote: features in shards, and the items that they are of.

embed.toml says what was embedded and in how many shards. Shard 7 is part-00007.npy (n, D) float16, part-00007.parquet (a row per
item), part-00007.skipped.csv where something was left out, and part-00007.done, which is written last.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.settings import read_toml
from selflabel.items.embeddings import features_of
from selflabel.items.endings import MODALITIES
from selflabel.items.expand import MAX_FILES
from selflabel.items.row_paths import row_number
from selflabel.items.rows import Rows
from selflabel.items.shards import from_shards
from selflabel.items.table import Blob, Blobs, Items, JoinedBlobs

if TYPE_CHECKING:  # takes long to import
    import pyarrow as pa

RECORD = "embed.toml"
PLACE = ("file", "offset", "length", "inside")  # of an item's bytes, as in `Blob`, for each modality
NO_FILE = "no such file"
INSIDE = r"^(unpacked|zip:[0-9]{1,2}:[0-9]{1,9}|cell:[^\x00\n]*:[0-9]{1,12})?$"  # what `Blob.inside` may be
MAX_RECORD = 1 << 20  # bytes


def is_feature_folder(folder: Path) -> bool:
    """Whether `selflabel embed` wrote a folder."""
    return (folder / RECORD).is_file()


def shard_file(folder: Path, number: int, ending: str) -> Path:
    """A file of a shard. ending: ".npy", ".parquet", ".skipped.csv" or ".done"."""
    return folder / f"part-{number:05d}{ending}"


def read_record(folder: Path) -> dict[str, Any]:
    """What embed.toml says, with `n_shards` checked.

    Raises:
        UserError: it is not as `selflabel embed` writes it.
    """
    file = folder / RECORD
    try:
        with open_regular(file) as f:
            is_small = f.seek(0, 2) <= MAX_RECORD
        record = read_toml(file)["embed"] if is_small else {}
        dims = record.get("space_dims", [])
        is_sound = 0 < record["n_shards"] <= MAX_FILES and all(isinstance(dim, int) and dim > 0 for dim in dims)
    except (OSError, LookupError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise UserError(f"{file}: is not as `selflabel embed` writes it; embed the items again, into another folder.")
    return record


def from_feature_folder(folder: Path) -> Items:
    """The items that were embedded, labelled by their features, with their files where these are still there.

    Raises:
        UserError: a shard is not done yet, or damaged.
    """
    record = read_record(folder)
    numbers = range(record["n_shards"])
    waiting = [number for number in numbers if not shard_file(folder, number, ".done").is_file()]
    if waiting:
        raise UserError(
            f"{folder}: {len(waiting):,} of {len(numbers):,} shards are not done (the first: part-{waiting[0]:05d}); give the "
            "same `selflabel embed` again, which goes on."
        )
    rows = from_shards(str(folder), [str(shard_file(folder, number, ".npy")) for number in numbers])
    tables = [read_table(folder, number) for number in numbers]
    check_lengths(folder, rows, tables)
    dims = tuple(record.get("space_dims", ()))
    if dims and sum(dims) != rows.array.shape[1]:
        raise UserError(f"{folder / RECORD}: its space_dims are not those of the features; embed the items again.")
    own = [row_number(path) for path in rows.paths]
    skipped = [entry for number in numbers for entry in read_skipped(folder, number)]
    files = items_of(folder, tables)
    lost = [(files.paths[row_number(path)], reason) for path, reason in rows.skipped]
    files = replace(files.take(own), skipped=[*skipped, *lost], notes=rows.notes)
    items = features_of(files, rows.array, missing_of(files))
    return replace(items, array_files=rows.array_files, space_dims=dims)


def table_schema(modalities: Sequence[str]) -> pa.Schema:
    """The columns of a shard's table with their types: id, path, truth, and where the bytes of each modality are."""
    import pyarrow as pa

    kinds = (pa.string(), pa.int64(), pa.int64(), pa.string())
    places = [(f"{m}_{name}", kind) for m in modalities for name, kind in zip(PLACE, kinds)]
    return pa.schema([("id", pa.int64()), ("path", pa.string()), ("truth", pa.string()), *places])


def read_table(folder: Path, number: int) -> pa.Table:
    """The table of a shard. Raises UserError where it is not as it was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = shard_file(folder, number, ".parquet")
    try:
        with open_regular(file) as f:
            table = pq.read_table(f, use_threads=False)
        modalities = [m for m in MODALITIES if f"{m}_file" in table.column_names]
        if table.schema.equals(table_schema(modalities)) and not has_bad_places(table):
            return table.combine_chunks()
    except (OSError, ValueError, LookupError, RuntimeError, TypeError, pa.ArrowException):
        pass
    raise damaged_shard(folder, number, file)


def has_bad_places(table: pa.Table) -> bool:
    """Whether something in a table cannot be a place in a file."""
    import pyarrow.compute as pc

    numbers = [pc.min(table[name]).as_py() for name in table.column_names if name.endswith(("_offset", "_length"))]
    texts = [table[name] for name in table.column_names if name.endswith("_inside")]
    inside = [pc.all(pc.match_substring_regex(column, INSIDE)).as_py() for column in texts]
    return any(value is not None and value < 0 for value in numbers) or False in inside


def damaged_shard(folder: Path, number: int, file: Path) -> UserError:
    """The error of a shard whose files do not belong together."""
    done = shard_file(folder, number, ".done")
    return UserError(f"{file}: is not as `selflabel embed` writes it; remove {done.name} and give the same command again.")


def check_lengths(folder: Path, rows: Items, tables: Sequence[pa.Table]) -> None:
    """Raise UserError where a shard has not one line for each row of features."""
    for number, (start, end, table) in enumerate(zip(starts := rows.array.starts, starts[1:], tables)):
        if end - start != len(table):
            raise damaged_shard(folder, number, shard_file(folder, number, ".parquet"))


def read_skipped(folder: Path, number: int) -> list[tuple[str, str]]:
    """(path, reason) of what was left out of a shard."""
    file = shard_file(folder, number, ".skipped.csv")
    if not file.is_file():
        return []
    rows = Rows(file, frozenset({"path", "reason"}))
    return [(str(row.get("path") or ""), str(row.get("reason") or "")) for row in rows]


class TableFiles(Sequence[Blob]):
    """The files of one modality of a shard; a blob is made when it is needed."""

    def __init__(self, table: pa.Table, modality: str):
        self.columns = [table[f"{modality}_{name}"] for name in PLACE]

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, row):  # a whole number, never a slice
        file, offset, length, inside = (column[int(row)].as_py() for column in self.columns)
        return Blob(file or "", offset or 0, length, inside or "")


def items_of(folder: Path, tables: Sequence[pa.Table]) -> Items:
    """The items of all shards, as items of files; those whose file is not there have none."""
    is_there = lru_cache(4096)(is_regular)  # items of a tar share a file
    blobs = {}
    for m in (m for m in MODALITIES if any(f"{m}_file" in table.column_names for table in tables)):
        names = [name for table in tables for name in texts_of(table, f"{m}_file")]
        files = JoinedBlobs([TableFiles(t, m) if f"{m}_file" in t.column_names else [None] * len(t) for t in tables])
        there = np.fromiter((bool(name) and is_there(name) for name in names), bool, len(names))
        blobs[m] = Blobs(files, np.where(there, np.arange(len(names)), -1))  # type: ignore[arg-type]
    truth = [name for table in tables for name in texts_of(table, "truth")]
    paths = [name for table in tables for name in texts_of(table, "path")]
    return Items(str(folder), paths, blobs, truth=truth if any(truth) else None)


def texts_of(table: pa.Table, column: str) -> list[str]:
    """The texts of a column, "" where there is none."""
    return [text or "" for text in table[column].to_pylist()] if column in table.column_names else [""] * len(table)


def is_regular(name: str) -> bool:
    """Whether there is a file of that name."""
    try:
        return os.path.isfile(name)  # noqa: PTH113
    except ValueError:
        return False


def missing_of(files: Items) -> list[tuple[str, str]]:
    """(path, reason) of the items without a file, where some have one."""
    if not files.blobs:
        return []
    lacking = np.logical_and.reduce([blobs.rows < 0 for blobs in files.blobs.values()])  # type: ignore[attr-defined]
    return [(files.paths[row], NO_FILE) for row in np.flatnonzero(lacking).tolist()]
