"""One cell of a .parquet or .arrow table, as Hugging Face's `datasets` keeps pictures: read in place, a few rows at a time.

A cell of a .parquet lies in a row group that is decoded from its beginning. Cells are mostly asked for in their order, so the
reader goes on from where it was, and keeps the latest cells. An .arrow file is mapped, and its cells are where they are.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Any

from selflabel.base.files import open_regular
from selflabel.items.arrow_tables import ArrowCells
from selflabel.items.column_tables import READ_ERRORS, leaf_of

KEPT_BYTES = 64 << 20  # of the cells that were read last
READ_BYTES = 8 << 20  # aimed at for one step
MAX_STEP = 256  # rows in one step
READERS = 4  # columns of files that are open


def read_cell(file: str, column: str, row: int) -> bytes:
    """The bytes of a cell; none for an empty one.

    Args:
        file: a .parquet or .arrow table.
        column: path of a binary column, as "image" or "image.bytes".
        row: of the whole table.

    Raises:
        OSError: the file cannot be read, or has no such cell.
    """
    with open_regular(file):  # a named pipe would wait for ever
        pass
    status = os.stat(file)  # noqa: PTH116
    try:
        return cell_reader(file, status.st_size, status.st_mtime_ns, column, os.getpid()).cell(row)
    except OSError:
        raise
    except READ_ERRORS as error:
        raise OSError(f"{file}: row {row:,} of the column {column} cannot be read ({error})") from error


@lru_cache(READERS)
def cell_reader(file: str, size: int, time_ns: int, column: str, process: int) -> CellReader | ArrowCells:
    """The reader of a column; another size, time or process has another one."""
    return ArrowCells(file, column) if file.lower().endswith(".arrow") else CellReader(file, column)


class CellReader:
    """Reads cells of one binary column of a .parquet table."""

    def __init__(self, file: str, column: str):
        import pyarrow.parquet as pq

        self.file, self.column, self.lock = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20), column, threading.Lock()
        metadata = self.file.metadata
        self.groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        self.ends = list(accumulate(group.num_rows for group in self.groups))
        self.kept: deque[tuple[int, Any]] = deque()  # (row of its first cell, array), in the order of the rows
        self.steps: Iterator[Any] = iter(())
        self.next_row, self.group = 0, -1  # what the next step begins with

    def cell(self, row: int) -> bytes:
        """The bytes of a cell. Raises IndexError where there is none."""
        if not 0 <= row < (self.ends[-1] if self.ends else 0):
            raise IndexError("there is no such row")
        with self.lock:
            if not (self.kept and self.kept[0][0] <= row) or bisect_right(self.ends, row) != self.group:
                self.start(bisect_right(self.ends, row))
            while self.next_row <= row:
                self.step()
            first, cells = next(pair for pair in reversed(self.kept) if pair[0] <= row)
            return cells[row - first].as_py() or b""

    def start(self, group: int) -> None:
        """Go to the beginning of a row group."""
        self.kept.clear()
        self.group, self.next_row = group, self.ends[group - 1] if group else 0
        step = max(1, min(MAX_STEP, READ_BYTES // max(1, self.bytes_per_row(group))))
        self.steps = self.file.iter_batches(step, row_groups=[group], columns=[self.column], use_threads=False)

    def step(self) -> None:
        """Read the next rows, and forget the oldest where there are too many bytes."""
        batch = next(self.steps, None)
        if batch is None:
            raise IndexError("the row group ends before it")
        cells = leaf_of(batch.column(0), self.column)
        self.kept.append((self.next_row, cells))
        self.next_row += len(batch)
        while len(self.kept) > 1 and sum(cells.nbytes for _, cells in self.kept) > KEPT_BYTES:
            self.kept.popleft()

    def bytes_per_row(self, group: int) -> int:
        """Of the column, uncompressed, as the file states it."""
        chunks = (self.groups[group].column(i) for i in range(self.groups[group].num_columns))
        total = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == self.column)
        return total // max(1, self.groups[group].num_rows)
