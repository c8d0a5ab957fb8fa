"""What is known of the items' true classes, read for the page: from a table of paths and classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.piece import PIECE_COLUMNS
from selflabel.items.rows import Rows
from selflabel.runs.run import Paths, Run, read_truth_table
from selflabel.runs.truth import classes_of, is_class, values_of_items


def read_truth_classes(run: Run, paths: Paths, truth: Path | None) -> tuple[list[str], np.ndarray | None]:
    """Names of the true classes and (N,) each item's class index, -1 where it is unknown; None without any truth.

    Raises:
        UserError: the file has no truth of this run.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    file = truth or run.file("truth.csv")
    if truth is None and not file.exists():
        return [], None
    try:
        if run.pieces is not None or has_piece_columns(file):
            return classes_by_overlap(run, paths, truth)
        truth_paths, classes = read_truth_columns(file)
    except (OSError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{file}: cannot be read as a table of paths and labels ({reason}); give a .csv file.") from error
    if truth_paths.equals(pa.array(paths)):  # by row: several items may have one path
        return codes_by_row(classes)
    truth_paths, encoded = with_class(truth_paths[::-1], classes[::-1])  # of a path with several classes the last counts
    if not len(truth_paths) and truth is None:  # the source has a column of classes, and all its cells are empty
        return [], None
    rows = pc.index_in(pa.array(paths), truth_paths)
    if rows.null_count == len(rows):
        raise UserError(f"{file}: none of its paths is in {run.folder}; the run's first is {paths[0]}.")
    codes = encoded.indices.take(rows).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return [str(c) for c in encoded.dictionary.to_pylist()], codes


def has_piece_columns(file: Path) -> bool:
    """Whether a table has spans or boxes. Raises UserError where it cannot be read."""
    if not file.exists():
        return False  # `read_truth_table` says so
    rows = Rows(file)
    next(iter(rows), None)
    return not set(PIECE_COLUMNS).isdisjoint(rows.header)


def classes_by_overlap(run: Run, paths: Paths, truth: Path | None) -> tuple[list[str], np.ndarray | None]:
    """See `read_truth_classes`; the items, or the rows of the truth, are pieces of files."""
    if truth is None:
        return names_and_codes(run.classes or [])
    found = classes_of(values_of_items(read_truth_table(truth), paths.column.to_pylist(), run.pieces))
    if not any(found):
        raise UserError(f"{truth}: none of its paths is in {run.folder}; the run's first is {paths[0]}.")
    return names_and_codes(found)


def names_and_codes(classes: list[str]) -> tuple[list[str], np.ndarray | None]:
    """Names of classes, and (N,) their places among these, -1 for ""; None where there is none."""
    names = list(dict.fromkeys(name for name in classes if name))
    place = {name: i for i, name in enumerate(names)}
    return names, np.array([place.get(name, -1) for name in classes], np.int32) if names else None


def codes_by_row(classes: Any) -> tuple[list[str], np.ndarray | None]:
    """See `names_and_codes`; classes: (N,) of pyarrow."""
    encoded = classes.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    are_classes = np.array([is_class(text) for text in texts], bool)
    places = np.append(np.where(are_classes, np.cumsum(are_classes) - 1, -1), -1).astype(np.int32)
    codes = places[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return [text for text in texts if is_class(text)], codes if are_classes.any() else None


def with_class(paths: Any, classes: Any) -> tuple[Any, Any]:
    """The paths that have a class, and their classes as a pyarrow dictionary: an empty cell is no class."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = classes.dictionary_encode()
    are_classes = pa.array([c is not None and is_class(c) for c in encoded.dictionary.to_pylist()], pa.bool_())
    known = pc.fill_null(are_classes.take(encoded.indices), False)
    return paths.filter(known), classes.filter(known).dictionary_encode()


def read_truth_columns(file: Path) -> tuple[Any, Any]:
    """Paths and classes as pyarrow arrays; a million lines as Python strings would take half a gigabyte."""
    import pyarrow as pa

    if file.suffix.lower() == ".csv" and file.exists():
        try:
            columns = read_csv_columns(file)
        except pa.ArrowInvalid:
            columns = None  # read_truth_table raises an error that says what is wrong with the file
        if columns:
            return columns
    table = read_truth_table(file)
    return pa.array(table.paths, pa.string()), pa.array(table.values, pa.string())


def read_csv_columns(file: Path) -> tuple[Any, Any] | None:
    """The columns of paths and of classes; None where the CSV lacks one."""
    import pyarrow as pa
    import pyarrow.csv

    from selflabel.items import TRUTH_COLUMNS

    parse_options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    header = pyarrow.csv.open_csv(file, parse_options=parse_options).schema.names
    column = next((c for c in TRUTH_COLUMNS if c in header), None)
    if "path" not in header or column is None:
        return None
    text = {"path": pa.string(), column: pa.string()}
    options = pyarrow.csv.ConvertOptions(column_types=text, include_columns=["path", column])
    table = pyarrow.csv.read_csv(file, parse_options=parse_options, convert_options=options)
    return table["path"].combine_chunks(), table[column].combine_chunks()
