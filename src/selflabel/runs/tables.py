"""Writing tables and arrays of a run folder: every file whole or absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.files import write_atomically


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
