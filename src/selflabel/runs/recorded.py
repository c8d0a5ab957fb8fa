"""sources.parquet: the file of every item as the run found it, by which its items are found again wherever a command is started.

A line for each item and modality: id, modality, file (absolute), offset, length and inside (see `items.Blob`), size in bytes
and time of the last change in ns. An array's file has a line with the id -1 and the modality "array", or "features" where
its rows have files of their own. Lines are in the order of the items and are read a row group at a time, so that a page over a
million files opens at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selflabel.base.files import open_regular, write_atomically
from selflabel.items import Blob, Items
from selflabel.items.beside import names_of_spaces
from selflabel.items.grouping import modalities_of
from selflabel.items.remote import is_remote
from selflabel.runs.missing import Missing
from selflabel.runs.reading import damaged

if TYPE_CHECKING:  # takes long to import
    import pyarrow as pa

ROWS_PER_GROUP = 65_536  # items whose lines are written and read together
GROUPS_KEPT = 8  # row groups in memory
ARRAY_ID = -1  # of the line of an array's file
COLUMNS = ("id", "modality", "file", "offset", "length", "inside", "size", "time_ns")


def write_record(file: Path, items: Items) -> None:
    """Write where the files of a set are.

    Args:
        file: sources.parquet of a run folder.
        items: of files; the run's, in its order.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = record_schema()

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for lines in record_lines(items):
                columns = [pa.array(list(column), kind) for column, kind in zip(zip(*lines), schema.types)]
                writer.write_table(pa.table(columns, schema=schema))

    write_atomically(file, write)


def record_schema() -> pa.Schema:
    """The columns of sources.parquet with their types."""
    import pyarrow as pa

    kinds = (pa.int64(), pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string(), pa.int64(), pa.int64())
    return pa.schema(list(zip(COLUMNS, kinds)))


def record_lines(items: Items) -> Iterator[list[tuple[Any, ...]]]:
    """The lines of sources.parquet, those of ROWS_PER_GROUP items at a time; before them one for each array."""
    if items.array is not None:
        of_rows = "features" if items.blobs else "array"
        named = items.array_files or filter(None, map(array_file, names_of_spaces(items.source)))
        files = list(map(os.path.abspath, named))
        if files:
            yield [(ARRAY_ID, of_rows, file, 0, None, "", *size_and_time(file)) for file in files]
    status = lru_cache(16)(size_and_time)  # items of a tar share a file
    for start in range(0, len(items), ROWS_PER_GROUP):
        rows = range(start, min(start + ROWS_PER_GROUP, len(items)))
        blobs = ((row, m, items.blobs[m][row]) for row in rows for m in items.blobs)
        lines = [(row, m, os.path.abspath(b.file), b.offset, b.length, b.inside, *status(b.file)) for row, m, b in blobs if b]  # noqa: PTH100
        if lines:
            yield lines


def array_file(source: str) -> str | None:
    """The file of an array's rows; None for an embedded set and for an array in memory. The name may end in ":KEY"."""
    for name in (source, source.rpartition(":")[0]):
        if name and Path(name).is_file():
            return os.path.abspath(name)  # noqa: PTH100
    return None


def size_and_time(file: str) -> tuple[int, int]:
    """(size in bytes, time of the last change in ns) of a file; (-1, 0) where it is gone."""
    try:
        status = os.stat(file)  # noqa: PTH116
    except OSError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


class Record:
    """sources.parquet, read.

    Args:
        file: of a run folder.

    Raises:
        UserError: it is not as a run writes it.
    """

    def __init__(self, file: Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name, self.lock = file, threading.Lock()
        try:
            self.file = pq.ParquetFile(open_regular(file, follow=False))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damaged(file, f"cannot be read as a table ({error})") from error
        groups = [self.file.metadata.row_group(i).column(0).statistics for i in range(self.file.num_row_groups)]
        if not self.file.schema_arrow.equals(record_schema()) or any(statistics is None for statistics in groups):
            raise damaged(file, "lacks columns")
        self.last_ids = np.array([statistics.max for statistics in groups], np.int64)
        self.group = lru_cache(GROUPS_KEPT)(self.read_group)

    def read_group(self, number: int) -> tuple[np.ndarray, Any]:
        """(ids, lines) of a row group."""
        table = self.file.read_row_group(number)
        return table["id"].to_numpy(), table

    def lines(self, row: int) -> list[dict[str, Any]]:
        """The lines of an item, one for each modality."""
        number = int(np.searchsorted(self.last_ids, row))
        if number == len(self.last_ids):
            return []
        with self.lock:
            ids, table = self.group(number)
        first, end = np.searchsorted(ids, [row, row + 1])
        return table.slice(first, end - first).to_pylist()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import pyarrow as pa

        try:
            for batch in self.file.iter_batches():
                yield from batch.to_pylist()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damaged(self.name, f"cannot be read as a table ({error})") from error


class RecordedSource:
    """Items where the run found them.

    Args:
        record: the run's.
        roots: the folders that were labelled, where links out of them are not followed; none of them follows links.
        named: (absolute) files that were labelled by their own names.

    Attributes:
        changed: path of each file, seen so far, that has another time than when it was labelled; copies change it.
    """

    def __init__(self, record: Record, roots: Sequence[Path] = (), named: Collection[str] = ()):
        self.record, self.roots, self.named = record, [root.resolve() for root in roots], frozenset(named)
        self.changed: set[str] = set()

    def blobs(self, row: int) -> dict[str, Blob]:
        lines = self.record.lines(row)
        if not lines:
            raise Missing("the run recorded no file for it")
        for line in lines:
            self.check(line)
        return modalities_of(by_kind({line["modality"]: blob_of(line) for line in lines}))

    def check(self, line: dict[str, Any]) -> None:
        """Raise Missing where another file is there now."""
        size, time_ns = size_and_time(line["file"])
        if size < 0:
            raise Missing("there is no such file any more")
        if self.roots and not self.is_inside(line["file"]):
            raise Missing("it lies outside the source, perhaps through a link (--follow-links reads it)")
        if size != line["size"]:
            raise Missing(another_size(size, line["size"]))
        if time_ns != line["time_ns"]:
            self.changed.add(line["file"])

    def is_inside(self, file: str) -> bool:
        """Whether a file was named itself, or lies in one of the folders."""
        place = Path(os.path.realpath(file))
        return file in self.named or any(place.is_relative_to(root) for root in self.roots)

    def values(self, row: int) -> np.ndarray:
        raise Missing("is no row of an array")


class SameSizes:
    """Another source of the run's items, named by the user: it may only give files of the sizes that were labelled.

    Args:
        source: the other one.
        record: the run's.
    """

    def __init__(self, source: Any, record: Record):
        self.source, self.record = source, record

    def blobs(self, row: int) -> dict[str, Blob]:
        blobs = self.source.blobs(row)
        for line in self.record.lines(row):
            blob = blobs.get(line["modality"])
            if blob is None:
                continue
            size, labelled = (blob_size(b, n) for b, n in ((blob, size_and_time(blob.file)[0]), (blob_of(line), line["size"])))
            if size != labelled:
                raise Missing(another_size(size, labelled))
        return blobs

    def values(self, row: int) -> np.ndarray:
        return self.source.values(row)


def blob_of(line: dict[str, Any]) -> Blob:
    return Blob(line["file"], line["offset"], line["length"], line["inside"])


def blob_size(blob: Blob, file_size: int) -> int:
    """Bytes of a blob: of the span, or of the whole file."""
    return file_size if blob.length is None else blob.length


def by_kind(blobs: dict[str, Blob]) -> dict[str, Blob]:
    """A film's own sound track is part of the film, and no file of its own."""
    return {m: b for m, b in blobs.items() if m != "audio" or b != blobs.get("video")}


def another_size(size: int, labelled: int) -> str:
    return f"another file is there now: it has {size:,} bytes, and what was labelled had {labelled:,}"


def first_difference(record: Record, items: Items) -> str:
    """ "" where a source still holds what the run was begun with, else the first file that differs; times may.

    Args:
        record: of the unfinished run.
        items: the source as it is now.
    """
    now = (dict(zip(COLUMNS, line)) for lines in record_lines(items) for line in lines)
    for old, new in zip_longest(record, now):
        if old is None or new is None:
            return f"{(old or new)['file']} was {'added' if old is None else 'removed'}"
        if identity(old) != identity(new):
            return f"{new['file']} is another file, or has another size"
    return ""


def identity(line: dict[str, Any]) -> tuple[Any, ...]:
    """What stays when a source is copied to another folder."""
    return line["id"], line["modality"], Path(line["file"]).name, line["offset"], line["inside"], line["size"]


def absolute_places(source: str | Sequence[str]) -> list[str]:
    """A source as absolute paths; it may be several files, tar shards with {000..099}, and arrays with + between."""
    names = [source] if isinstance(source, str) else source
    return ["+".join(one if is_remote(one) else os.path.abspath(one) for one in names_of_spaces(name)) for name in names]  # noqa: PTH100
