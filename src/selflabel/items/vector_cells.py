"""Cells of a table that hold the features of an item: lists of numbers, or their text."""

from __future__ import annotations

from typing import Any

import numpy as np

VECTOR_COLUMNS = ("embedding", "embeddings", "features", "feature", "vector")


def vector_of(value: Any) -> np.ndarray | None:
    """(D,) float32 of a list of two or more numbers, or of the text of one; None of anything else.

    Example:
        >>> [vector_of(value) for value in ([1, 2.5], "[1.0, 2.5]", "(1 2.5)", "1;2.5", "red", 3, "[1 ... 9]")][3:]
        [array([1. , 2.5], dtype=float32), None, None, None]
    """
    numbers = value.strip(" \t\r\n[]()").replace(",", " ").replace(";", " ").split() if isinstance(value, str) else value
    if not isinstance(numbers, (list, tuple)) or len(numbers) < 2:
        return None
    try:
        with np.errstate(over="ignore"):
            vector = np.array(numbers, np.float32)
    except (ValueError, TypeError, OverflowError):
        return None
    return vector if vector.ndim == 1 else None


def is_list(kind: Any) -> bool:
    """Whether a type is that of lists of numbers."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(of(kind) for of in lists) and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def vectors_of(column: Any) -> list[np.ndarray | None]:
    """The cells of a column of lists of numbers, each (D,) float32; None for one of fewer than two numbers."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        values = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float32)  # an empty number becomes a NaN
    return [part if len(part) > 1 else None for part in np.split(values, np.cumsum(lengths)[:-1])] if len(lengths) else []
