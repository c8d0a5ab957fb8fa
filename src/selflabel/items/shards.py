"""Features in several .npy files: one set of rows, read where they lie, never joined into one array.

Rows are counted through the files in the order of their names: row:000000 is the first of the first file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.arrays import finite_rows, map_array
from selflabel.items.row_paths import RowPaths, row_path
from selflabel.items.table import Items

FEATURE_BLOCK = 1 << 16  # rows that are converted at a time


class ShardedRows:
    """(N, D) features of several arrays, one after the other. Reading some rows gives an array; `take` reads nothing.

    Args:
        parts: (n, D) real numbers each, all of one width; maps of files stay on the disk.
        rows: (N,) which of all rows these are; None is all of them.

    Attributes:
        dtype: float16 where all parts have it, else float32, which other numbers become when they are read.
    """

    ndim = 2

    def __init__(self, parts: Sequence[np.ndarray], rows: np.ndarray | None = None):
        self.parts, self.rows = list(parts), rows
        self.starts = [0, *accumulate(map(len, self.parts))]
        self.dtype = np.dtype(np.float16 if all(part.dtype == np.float16 for part in self.parts) else np.float32)

    def __len__(self) -> int:
        return self.starts[-1] if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.parts[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows, once they are read."""
        return len(self) * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, rows: Any) -> np.ndarray:
        """One row (D,), or several (n, D), as an array in memory. rows: a number, a slice, or numbers from 0 to N - 1."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        if np.ndim(rows) == 0:
            return self.read(np.array([int(rows)]))[0]
        return self.read(np.asarray(rows, np.int64))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(n, D) the features of these rows."""
        places = rows if self.rows is None else self.rows[rows]
        read = np.empty((len(places), self.shape[1]), self.dtype)
        of_part = np.searchsorted(self.starts, places, side="right") - 1
        with np.errstate(over="ignore"):  # what is too large for float32 counts as infinite
            for number in np.unique(of_part).tolist():
                here = np.flatnonzero(of_part == number)
                read[here] = self.parts[number][places[here] - self.starts[number]]
        return read

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All rows in memory, for what needs them at once."""
        joined = np.empty(self.shape, self.dtype if dtype is None else dtype)
        for start in range(0, len(self), FEATURE_BLOCK):
            joined[start : start + FEATURE_BLOCK] = self[start : start + FEATURE_BLOCK]
        return joined

    def __iter__(self) -> Iterator[np.ndarray]:
        return (row for start in range(0, len(self), FEATURE_BLOCK) for row in self[start : start + FEATURE_BLOCK])

    def take(self, rows: Any) -> ShardedRows:
        """These rows, in this order, without reading them."""
        chosen = np.asarray(rows, np.int64)
        return ShardedRows(self.parts, chosen if self.rows is None else self.rows[chosen])

    def part_of(self, row: int) -> int:
        """The number of the part that holds a row."""
        return bisect_right(self.starts, row if self.rows is None else int(self.rows[row])) - 1


def from_shards(source: str, files: Sequence[str]) -> Items:
    """The rows of several .npy files of features; rows with a NaN or an infinite value are skipped, and listed with their file.

    Args:
        source: as errors name it.
        files: in order.

    Raises:
        UserError: a file is no array of features, differs from the first one, or has no row that can be used.
    """
    parts = [map_array(Path(file)) for file in files]
    check_shards(files, parts)
    rows = ShardedRows(parts)
    skipped: list[tuple[str, str]] = []
    good = []
    for file, part, start in zip(files, parts, rows.starts):
        is_finite = finite_rows(part)
        if len(part) and not is_finite.any():
            raise UserError(f"{file}: every row has a NaN or an infinite value; mend the features first, or take the file out.")
        good.append(np.flatnonzero(is_finite) + start)
        reason = f"a value is NaN or infinite in {Path(file).name}"
        skipped += [(row_path(row), reason) for row in (np.flatnonzero(~is_finite) + start).tolist()]
    notes = [f"{source}: {len(files):,} files of features, {len(rows):,} rows, in the order of the files' names"]
    table = Items(source, RowPaths(range(len(rows))), array=rows, notes=notes, array_files=tuple(files))
    return table.take(np.concatenate(good), skipped) if skipped else table


def check_shards(files: Sequence[str], parts: Sequence[np.ndarray]) -> None:
    """Raise UserError where a file holds no features, or others than the first one."""
    if not any(map(len, parts)):
        raise UserError(f"{files[0]}: this file and those beside it have no rows; they need at least one item.")
    for file, part in zip(files, parts):
        if part.ndim != 2 or part.shape[1] == 0:
            shape = "x".join(map(str, part.shape))
            raise UserError(
                f"{file}: an array of shape {shape} is no part of a set of features (N,D); give pictures as one array, or take "
                "the file out."
            )
        if part.dtype.kind not in "buif":
            raise UserError(f"{file}: features must be real numbers, not {part.dtype}; save them as float16 or float32.")
    check_alike(files, parts)


def check_alike(files: Sequence[str], parts: Sequence[Any]) -> None:
    """Raise UserError where arrays of features, which are named by their files, differ in width or type."""
    first = parts[0]
    for file, part in zip(files, parts):
        if part.shape[1] != first.shape[1]:
            raise UserError(
                f"{file}: has {part.shape[1]:,} features in a row, and {Path(files[0]).name} has {first.shape[1]:,}; describe "
                "all items with one encoder, or take the file out."
            )
        if part.dtype != first.dtype:
            raise UserError(
                f"{file}: holds {part.dtype} numbers, and {Path(files[0]).name} {first.dtype}; save all files with one type."
            )
