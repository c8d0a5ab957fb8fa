"""Writing tables and arrays of a run folder: every file whole or absent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.csv_writer import csv_writer
from selflabel.base.files import write_atomically

GROUP_ROWS = 1 << 20  # rows of a row group
LINES = 1 << 16  # of a CSV that are made at a time


def write_rows(file: Path, shape: tuple[int, int], dtype: Any, blocks: Iterable[np.ndarray]) -> None:
    """Write an .npy file of this shape from blocks of rows, so that it is never held as a whole."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}

    def write(path: Path) -> None:
        with path.open("wb") as out:
            np.lib.format.write_array_header_1_0(out, header)
            for block in blocks:
                out.write(np.ascontiguousarray(block, dtype).tobytes())

    write_atomically(file, write)


def write_lines(file: Path, header: list[str], n: int, cells: Callable[[slice], Iterable[Iterable[Any]]]) -> None:
    """Write a CSV table of n lines. cells: gives the columns of some of the lines."""

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv_writer(out)
            writer.writerow(header)
            for rows in slices(n, LINES):
                writer.writerows(zip(*cells(rows)))

    write_atomically(file, write)


def write_groups(file: Path, n: int, columns: Callable[[slice], dict[str, Any]]) -> None:
    """Write a .parquet file of n rows, a row group at a time. columns: gives some of the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(path: Path) -> None:
        first = pa.table(columns(slice(0, min(n, GROUP_ROWS))))
        with pq.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first, GROUP_ROWS)
            del first
            for rows in slices(n, GROUP_ROWS)[1:]:
                writer.write_table(pa.table(columns(rows)), GROUP_ROWS)

    write_atomically(file, write)


def slices(n: int, size: int) -> list[slice]:
    """Slices that cover n rows, in order.

    Example:
        >>> slices(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def write_array(file: Path, array: np.ndarray) -> None:
    """Write an .npy file."""
    write_atomically(file, lambda p: np.save(p, array, allow_pickle=False))


def write_table(file: Path, columns: dict[str, Any]) -> None:
    """Write a .parquet file from columns of equal length by name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    write_atomically(file, lambda p: pq.write_table(table, p))


def list_column(values: np.ndarray, kind: Any) -> Any:
    """A pyarrow column of lists, one for each row of (N, k) values of a pyarrow type."""
    import pyarrow as pa

    n, k = values.shape
    flat = pa.array(np.ascontiguousarray(values).reshape(-1).astype(kind.to_pandas_dtype()), kind)
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * k), flat)


def with_nulls(values: np.ndarray) -> Any:
    """A pyarrow column of numbers in which NaN is a missing value."""
    import pyarrow as pa

    return pa.array(values, from_pandas=True)
