"""Tables that are stored by columns, .parquet and .arrow, read a few rows and one column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.items.arrow_tables import ArrowTable

BATCH = 4096  # rows of small cells that are read at a time
CELLS = 64  # cells of pictures, films or sounds that are read at a time
# What pyarrow raises, most of all where a file is damaged.
READ_ERRORS = (OSError, ValueError, LookupError, RuntimeError, TypeError, ArithmeticError, MemoryError)


class ParquetTable:
    """A .parquet file.

    Args:
        file: its name.
        texts: columns whose equal texts are kept once.

    Attributes:
        schema: its pyarrow schema.
        n_rows: as the file states it.
    """

    def __init__(self, file: Path, texts: Sequence[str] = ()):
        import pyarrow.parquet as pq

        self.file = pq.ParquetFile(file, read_dictionary=list(texts), pre_buffer=False, buffer_size=1 << 20)
        self.schema, self.n_rows = self.file.schema_arrow, self.file.metadata.num_rows

    def batches(self, columns: Sequence[str]) -> Iterator[list[Any]]:
        """The cells of these columns, or fields of columns as "image.path": for some rows at a time an array for each."""
        for batch in self.file.iter_batches(BATCH, columns=list(columns), use_threads=False):
            yield [leaf_of(batch.column(name.partition(".")[0]), name) for name in columns]

    def filled(self, leaf: str) -> np.ndarray:
        """(N,) whether a cell of a column, or field of a column, is not null."""
        filled = []
        for number in range(self.file.metadata.num_row_groups):
            group = self.file.metadata.row_group(number)
            chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == leaf)
            nulls = chunk.statistics.null_count if chunk.statistics is not None and chunk.statistics.has_null_count else None
            if nulls in (0, group.num_rows):
                filled.append(np.full(group.num_rows, nulls == 0))
                continue
            for batch in self.file.iter_batches(CELLS, row_groups=[number], columns=[leaf], use_threads=False):
                filled.append(~np.asarray(leaf_of(batch.column(0), leaf).is_null()))
        return np.concatenate(filled) if filled else np.zeros(0, bool)

    def count_numbers(self, column: str) -> int:
        """How many numbers all lists of a column hold together, as the file states it."""
        groups = map(self.file.metadata.row_group, range(self.file.metadata.num_row_groups))
        chunks = (group.column(i) for group in groups for i in range(group.num_columns))
        return sum(chunk.num_values for chunk in chunks if chunk.path_in_schema.startswith(f"{column}."))


def leaf_of(cells: Any, leaf: str) -> Any:
    """The cells of a column, or of the field of it that `leaf` names, which is null where the cell is."""
    import pyarrow.compute as pc

    for name in leaf.split(".")[1:]:
        cells = pc.struct_field(cells, name)
    return cells


def open_table(file: Path, texts: Sequence[str] = ()) -> ParquetTable | ArrowTable:
    """Open a .parquet or .arrow file. texts: see `ParquetTable`. Raises one of READ_ERRORS."""
    return ArrowTable(file, texts) if file.suffix.lower() == ".arrow" else ParquetTable(file, texts)


def schema_of(file: Path) -> Any:
    """The pyarrow schema of a .parquet or .arrow file. Raises one of READ_ERRORS."""
    return open_table(file).schema
