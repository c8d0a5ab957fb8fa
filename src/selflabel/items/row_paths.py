"""Paths of the rows of arrays, which have no names of their own: row:000000, row:000001, ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


def row_path(row: int) -> str:
    """The path of a row that has no name of its own."""
    return f"row:{row:06d}"


class RowPaths(Sequence[str]):
    """Paths of rows that have no names of their own, each made when it is needed: ten million as texts would take 700 MB.

    Args:
        rows: (N,) their numbers; a range will do.

    Example:
        >>> RowPaths(range(3))[2], RowPaths(range(3)) == ["row:000000", "row:000001", "row:000002"]
        ('row:000002', True)
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: range | np.ndarray):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        return RowPaths(self.rows[row]) if isinstance(row, slice) else row_path(int(self.rows[row]))

    def __iter__(self) -> Iterator[str]:
        return map(row_path, self.rows if isinstance(self.rows, range) else self.rows.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    def __arrow_array__(self, type: Any = None) -> Any:
        import pyarrow as pa

        return pa.array(list(self), type or pa.string())

    def take(self, rows: Sequence[int] | np.ndarray) -> RowPaths:
        """The paths of these of the rows, in this order."""
        chosen = np.asarray(rows, np.int64)
        if isinstance(self.rows, range):
            return RowPaths(self.rows.start + self.rows.step * chosen)
        return RowPaths(self.rows[chosen])


def row_number(path: str) -> int:
    """The row of an array that a path such as "row:000012" names; -1 where it names none."""
    number = path.removeprefix("row:")
    return int(number) if number.isdecimal() and len(number) < 19 else -1
