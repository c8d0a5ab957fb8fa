"""Reading a run folder, which a stranger may have made: no links, bounded sizes, and one sentence for whatever is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular

if TYPE_CHECKING:  # takes long to import
    import pyarrow as pa

MAX_TEXT_BYTES = 64_000_000  # of report.json and other small files
MAX_LABEL = 10_000_000  # a larger label would take memory for every label below it
MAX_VALUES_A_ROW = 64  # of a column of lists; the best labels of an item are five
LEAST_ROOM, MAX_GROWTH = 1 << 26, 200  # bytes that any table may take in memory, and how many times its file's size
LABELS_COLUMNS = ("id", "path", "label", "confidence")
OUTLIER = "outlier"  # a column of labels.parquet, where --outliers was given
LARGEST = {"px": 8192, "channels": 4, "seconds": 86_400, "rate": 1_000_000, "frames": 4096}  # that run.toml can say


def file_in(folder: Path, name: str) -> Path:
    """A file or folder of a run folder by its name, which need not be there.

    Args:
        folder: of the run.
        name: with "/" between folders.

    Raises:
        UserError: it is a link, or lies in one: a link may lead out of the run folder.
    """
    place = folder
    for part in name.split("/"):
        place = place / part
        if place.is_symlink():
            raise UserError(f"{place}: is a link, and links in a run folder are not followed; put the file itself there.")
    return place


def refuse_links(folder: Path) -> None:
    """Raise UserError where a run folder, or a folder in it, holds a link: what is written there would be written elsewhere."""
    for place in folder.iterdir():
        file_in(folder, place.name)
        for inner in place.iterdir() if place.is_dir() else ():
            file_in(folder, f"{place.name}/{inner.name}")


def damaged(file: Path, what: str) -> UserError:
    """The error of a file of a run folder that is not as the run wrote it."""
    return UserError(f"{file}: {what}; copy the run folder again, or label the source again.")


def read_bounded(file: Path) -> bytes:
    """The bytes of a small file.

    Raises:
        UserError: it cannot be read, or is larger than any such file is.
    """
    try:
        with open_regular(file, follow=False) as f:
            data = f.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise damaged(file, f"cannot be read ({error.strerror or error})") from error
    if len(data) > MAX_TEXT_BYTES:
        raise damaged(file, f"has more than {MAX_TEXT_BYTES:,} bytes")
    return data


def parse_object(file: Path, text: str | bytes) -> dict[str, Any]:
    """A JSON object that stands in a file of a run folder. Raises UserError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(file, f"is no JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise damaged(file, "holds no JSON object")
    return value


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises UserError."""
    return parse_object(file, read_bounded(file))


def read_table(file: Path, columns: list[str] | None = None, rows: int | None = None, optional: str = "") -> pa.Table:
    """A parquet table of a run, a row per item.

    Args:
        file: of the run folder.
        columns: those to read; None reads all.
        rows: how many it must have; None allows as many as the file has bytes, since every item has a path of its own.
        optional: a further column that is read where it is there.

    Raises:
        UserError: it cannot be read, lacks a column, or has another number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(file, follow=False) as f, pq.ParquetFile(f) as table:
            n, size = table.metadata.num_rows, f.seek(0, 2)
            if n != rows if rows is not None else n > size:
                raise damaged(file, f"says that it has {n:,} rows" + ("" if rows is None else f", and the run has {rows:,}"))
            missing = set(columns or []) - set(table.schema_arrow.names)
            if missing:
                raise damaged(file, f"lacks the column {min(missing)}")
            if len(set(table.schema_arrow.names)) < len(table.schema_arrow.names):
                raise damaged(file, "has two columns of the same name")
            if columns is not None and optional in table.schema_arrow.names:
                columns = [*columns, optional]
            check_room(file, table.metadata, columns, LEAST_ROOM + MAX_GROWTH * size)
            texts = sorted({"path"}.intersection(columns or table.schema_arrow.names))
            return read_groups(file, pq.ParquetFile(f, read_dictionary=texts), columns, LEAST_ROOM + MAX_GROWTH * size)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(file, f"cannot be read as a table ({error})") from error


def check_room(file: Path, metadata: Any, columns: list[str] | None, most: int) -> None:
    """Raise UserError where the columns of a parquet table would take far more memory than the file has bytes."""
    n_bytes = 0
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for column in map(group.column, range(group.num_columns)):
            if columns is None or column.path_in_schema.split(".")[0] in columns:
                n_bytes += column.total_uncompressed_size
                if n_bytes > most or column.num_values > MAX_VALUES_A_ROW * group.num_rows:
                    raise damaged(file, "says that it holds more than any run does")


def read_groups(file: Path, table: Any, columns: list[str] | None, most: int) -> pa.Table:
    """A table with its paths as texts, read a row group at a time: their dictionaries would take as much memory again."""
    import pyarrow as pa

    groups, left = [], most
    for number in range(table.num_row_groups):
        groups.append(with_plain_paths(file, table.read_row_group(number, columns), left))
        left -= groups[-1]["path"].nbytes if "path" in groups[-1].column_names else 0
    return pa.concat_tables(groups) if groups else table.read(columns)


def with_plain_paths(file: Path, table: pa.Table, most: int) -> pa.Table:
    """A table whose paths were read as a dictionary, which may say one long text for every row, with paths as texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table["path"] if "path" in table.column_names else None
    if column is None or not pa.types.is_dictionary(column.type):
        return table
    sizes = (pc.sum(pc.take(pc.binary_length(c.dictionary), c.indices)).as_py() or 0 for c in column.chunks)
    if sum(sizes) > most:
        raise damaged(file, "holds longer paths than any run does")
    return table.set_column(table.schema.get_field_index("path"), "path", column.cast(column.type.value_type))


def read_labels_table(file: Path, with_paths: bool = True) -> pa.Table:
    """labels.parquet, with labels in 0 to MAX_LABEL.

    Args:
        file: of the run folder.
        with_paths: whether its column path is read, which takes longest.

    Raises:
        UserError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = read_table(file, [c for c in LABELS_COLUMNS if with_paths or c != "path"], optional=OUTLIER)
    if not len(table):
        raise damaged(file, "has no rows")
    try:
        table.validate(full=True)  # a text may be no UTF-8
    except pa.ArrowInvalid as error:
        raise damaged(file, f"cannot be read as a table ({error})") from error
    kinds = (("path", pa.types.is_string), ("label", pa.types.is_integer), ("confidence", pa.types.is_floating))
    for name, is_right in kinds if with_paths else kinds[1:]:
        if name not in table.column_names or not is_right(table[name].type) or table[name].null_count:
            raise damaged(file, f"its column {name} is missing or of the wrong type")
    if OUTLIER in table.column_names and (not pa.types.is_boolean(table[OUTLIER].type) or table[OUTLIER].null_count):
        raise damaged(file, f"its column {OUTLIER} is of the wrong type")
    if not pc.all(pc.is_finite(table["confidence"]), min_count=0).as_py():
        raise damaged(file, "has confidences that are no numbers")
    lowest, highest = pc.min_max(table["label"]).as_py().values()
    if not (lowest >= 0 and highest <= MAX_LABEL):
        raise damaged(file, f"has labels from {lowest} to {highest}, outside 0 to {MAX_LABEL:,}")
    return table


def rows_of_table(file: Path) -> int:
    """How many rows a parquet table of a run says that it has. Raises UserError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(file, follow=False) as f, pq.ParquetFile(f) as table:
            return int(table.metadata.num_rows)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(file, f"cannot be read as a table ({error})") from error


def outliers_in(table: pa.Table) -> np.ndarray | None:
    """(N,) bool of a table from `read_labels_table`, whether an item fits no cluster; None for a run without --outliers."""
    return table[OUTLIER].to_numpy() if OUTLIER in table.column_names else None


def read_array(file: Path, rows: int | None = None) -> np.ndarray:
    """(N, D) numbers of an .npy file, memory-mapped.

    Args:
        file: of the run folder.
        rows: N; None allows any.

    Raises:
        UserError: it cannot be read, or has another shape.
    """
    try:
        with open_regular(file, follow=False):
            array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the parser of the header raises anything on damaged bytes
        raise damaged(file, f"cannot be read as an array ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        raise damaged(file, "holds no table of numbers")
    if rows is not None and len(array) != rows:
        raise damaged(file, f"has {len(array):,} rows, and the run has {rows:,}")
    return array


def check_sections(file: Path, recorded: dict[str, Any]) -> None:
    """Raise UserError where sections of run.toml are of another kind, or say sizes that no run has.

    Args:
        file: run.toml.
        recorded: what it holds.
    """
    for name in ("settings", "task", "worked_out"):
        if not isinstance(recorded.get(name, {}), dict):
            raise damaged(file, f"{name} is no section")
    for name, part in recorded.get("worked_out", {}).items():
        if not isinstance(part, dict):
            raise damaged(file, f"worked_out.{name} is no section")
        for key in (*LARGEST, "low", "high"):
            value, most = part.get(key, 0), LARGEST.get(key, math.inf)
            if not isinstance(value, int | float) or not (math.isfinite(value) and (key not in LARGEST or 0 <= value <= most)):
                raise damaged(file, f"says {key} = {value}, which no run has")
