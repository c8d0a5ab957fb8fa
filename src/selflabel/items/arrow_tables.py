"""An .arrow file, memory-mapped: record batches as a stream, as Hugging Face's `datasets` writes it, or as an Arrow file.

Nothing of the file is read before it is asked for. What its headers say is checked before pyarrow follows it: offsets of cells
that a damaged or hostile file states may lead anywhere in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

FILE_MAGIC = b"ARROW1"  # an Arrow file begins so, a stream does not
STREAM_END = b"\xff\xff\xff\xff\0\0\0\0"  # the last eight bytes of a stream


class ArrowTable:
    """An .arrow file.

    Args:
        file: its name.
        texts: columns whose equal texts are kept once in a batch.

    Attributes:
        schema: its pyarrow schema.
        n_rows: of all record batches.

    Raises:
        OSError, ValueError: it is damaged, cut off, or no such file.
    """

    def __init__(self, file: Path, texts: Sequence[str] = ()):
        import pyarrow as pa

        self.map, self.texts = pa.memory_map(str(file)), frozenset(texts)
        if self.map.read_at(len(FILE_MAGIC), 0) == FILE_MAGIC:
            reader = pa.ipc.open_file(self.map)
            self.schema, self.n_batches, self.read_batch = reader.schema, reader.num_record_batches, reader.get_batch
        else:
            self.schema, messages = stream_messages(self.map)
            self.n_batches = len(messages)
            self.read_batch = lambda number: pa.ipc.read_record_batch(messages[number], self.schema)
        counts = [self.read_batch(number).num_rows for number in range(self.n_batches)]
        if any(count < 0 for count in counts):
            raise ValueError("a record batch has a negative number of rows")
        self.ends = list(accumulate(counts))
        self.n_rows = self.ends[-1] if counts else 0

    def cells(self, number: int, leaf: str) -> Any:
        """The cells of a column, or field of a column as "image.path", of a record batch, checked."""
        import pyarrow.compute as pc

        name, *fields = leaf.split(".")
        cells = self.read_batch(number).column(name)
        cells.validate(full=True)
        for field in fields:
            cells = pc.struct_field(cells, field)
        return cells.dictionary_encode() if name in self.texts else cells

    def batches(self, columns: Sequence[str]) -> Iterator[list[Any]]:
        """The cells of these columns, or fields of columns: for the rows of each record batch an array for each."""
        return ([self.cells(number, name) for name in columns] for number in range(self.n_batches))

    def filled(self, leaf: str) -> np.ndarray:
        """(N,) whether a cell of a column, or field of a column, is not null."""
        filled = [~np.asarray(self.cells(number, leaf).is_null()) for number in range(self.n_batches)]
        return np.concatenate(filled) if filled else np.zeros(0, bool)

    def count_numbers(self, column: str) -> int:
        """How many numbers all lists of a column hold together."""
        import pyarrow.compute as pc

        lengths = (pc.sum(pc.list_value_length(self.cells(number, column))) for number in range(self.n_batches))
        return sum(length.as_py() or 0 for length in lengths)


class ArrowCells:
    """Reads cells of one binary column of an .arrow file; the record batch that was asked for last is kept.

    Args:
        file: its name.
        column: path of the column, as "image" or "image.bytes".
    """

    def __init__(self, file: str, column: str):
        self.table, self.column = ArrowTable(Path(file)), column
        self.kept: tuple[int, Any] = (-1, None)  # the number of a record batch, and its cells

    def cell(self, row: int) -> bytes:
        """The bytes of a cell. Raises IndexError where there is none."""
        if not 0 <= row < self.table.n_rows:
            raise IndexError("there is no such row")
        number = bisect_right(self.table.ends, row)
        kept, cells = self.kept
        if kept != number:
            cells = self.table.cells(number, self.column)
            self.kept = (number, cells)
        return cells[row - (self.table.ends[number - 1] if number else 0)].as_py() or b""


def stream_messages(mapped: Any) -> tuple[Any, list[Any]]:
    """(schema, messages of the record batches) of a stream, which stay on the disk. Raises ValueError where it is cut off."""
    import pyarrow as pa

    reader = pa.ipc.MessageReader.open_stream(mapped)
    messages, end = list(reader), mapped.tell()
    if not messages or mapped.read_at(len(STREAM_END), max(0, end - len(STREAM_END))) != STREAM_END:
        raise ValueError("it is cut off")
    if any(message.type != "record batch" for message in messages[1:]):
        raise ValueError("it has columns of dictionaries; save it as an Arrow file or as .parquet")
    return pa.ipc.read_schema(messages[0]), messages[1:]
