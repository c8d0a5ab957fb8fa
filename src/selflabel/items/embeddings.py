"""Items of a table with a column of features: labelled by the features, shown and exported as the files that the table names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.rows import Rows
from selflabel.items.table import Items
from selflabel.items.vector_cells import VECTOR_COLUMNS

SAMPLE = 64  # rows that show whether a column holds features
Reasons = dict[int, str]  # row to why it cannot be used, or has no file


def vector_column(file: Path) -> str:
    """The column of a table that holds features in most of its first rows; "" without one."""
    rows = list(islice(Rows(file, frozenset(VECTOR_COLUMNS)), SAMPLE))
    counts = {name: sum(row.get(name) is not None for row in rows) for name in VECTOR_COLUMNS}
    return next((name for name, count in counts.items() if 2 * count > len(rows)), "")


def read_vectors(file: Path, column: str) -> list[np.ndarray | None]:
    """(N,) the features of every row of a table, None where a cell holds none."""
    return [row.get(column) for row in Rows(file, frozenset({column}))]


def with_vectors(items: Items, vectors: Sequence[np.ndarray | None], column: str, unfound: Reasons) -> Items:
    """The rows that have features, as items of features with their files.

    Args:
        items: every row of a table; of files, or of none.
        vectors: (N,) features of each row.
        column: their name.
        unfound: the rows whose file cannot be found; they are labelled, too.

    Raises:
        UserError: no row has features.
    """
    dim, unusable = usable_vectors(vectors, column)
    rows = [row for row in range(len(items)) if row not in unusable]
    if not rows:
        raise UserError(f"{items.source}: no row of its column {column!r} can be used; mend the features first.")
    notes = [
        f"{items.source}: has a column {column!r} of {dim:,} numbers, by which rows are labelled unless --encoder names a network"
    ]
    taken = items.take(rows, [(items.paths[row], reason) for row, reason in unusable.items()]).noting([], notes)
    missing = [(items.paths[row], unfound[row]) for row in rows if row in unfound]
    return features_of(taken, np.stack([vector for vector in map(vectors.__getitem__, rows) if vector is not None]), missing)


def missing_notes(missing: list[tuple[str, str]], n: int) -> list[str]:
    """A sentence on the files, of n, that are not there; none where all are."""
    if not missing:
        return []
    first = f"{missing[0][0]}: {missing[0][1]}"
    return [f"{len(missing):,} of {n:,} files cannot be shown, and are labelled by their features (the first, {first})"]


def features_of(files: Items, array: Any, missing: list[tuple[str, str]]) -> Items:
    """Files as items of features (N, D); those that are not there are named in a sentence."""
    notes = [*files.notes, *missing_notes(missing, len(files))]
    found = {m: blobs for m, blobs in files.blobs.items() if any(blob is not None for blob in blobs)}
    return replace(files, blobs=found, array=array, notes=notes, missing=missing)


def usable_vectors(vectors: Sequence[np.ndarray | None], column: str) -> tuple[int, Reasons]:
    """(the length that most vectors have, the rows of another length or without finite numbers)."""
    lengths = Counter(len(vector) for vector in vectors if vector is not None)
    dim = lengths.most_common(1)[0][0] if lengths else 0
    reasons = {}
    for row, vector in enumerate(vectors):
        if vector is None:
            reasons[row] = f"its {column} is no list of numbers"
        elif len(vector) != dim:
            reasons[row] = f"its {column} has another length than those of most rows"
        elif not np.isfinite(vector).all():
            reasons[row] = "a value is NaN or infinite"
    return dim, reasons
