"""The rows of a .csv, .tsv, .jsonl, .json, .parquet or .arrow table, one by one, with only the columns that mean something here.

Tables come from spreadsheets, too: semicolons or tabs, Excel's first line `sep=;`, UTF-16, Latin-1. What a table says of
itself is not believed: cells are cut, and rows are counted while they are read.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.memory import free_host_memory
from selflabel.base.text import printable, shortened
from selflabel.items.column_tables import open_table, schema_of
from selflabel.items.endings import KINDS
from selflabel.items.piece import PIECE_COLUMNS
from selflabel.items.vector_cells import VECTOR_COLUMNS, is_list, vector_of, vectors_of

PATH_COLUMNS = ("path", *KINDS)
TRUTH_COLUMNS = ("truth", "label", "class")
CAPTIONS = "captions"  # names a file with what is said
KNOWN = frozenset({*PATH_COLUMNS, *TRUTH_COLUMNS, *PIECE_COLUMNS, CAPTIONS, "group", "confidence"})  # columns that are read

MAX_ROWS = 20_000_000
MAX_CELL = 8192  # characters that are kept of a cell; no path is as long
MAX_FIELD = 1 << 26  # characters of a cell of a .csv; what is longer is taken for an unclosed quotation mark
MAX_LINE = 1 << 26  # bytes of a line of a .jsonl
MAX_JSON = 1 << 29  # bytes of a .json, which is read whole
LEFT_FREE = 1 << 28  # bytes of memory below which reading ends
BYTES_PER_ROW = 300  # of memory that an item of a table takes
BYTES_PER_NUMBER = 4  # of features, as float32
ROWS_PER_CHECK = 1 << 16
DELIMITERS = ",;\t|"
HEAD = 1 << 16  # bytes by which an encoding is guessed

Row = dict[str, Any]


class Rows:
    """A table, read anew by every loop over it.

    Args:
        file: the table.
        columns: the columns that are read, where a table has them.

    Attributes:
        header: the names of all its columns, once reading has begun.
        bad: (where, reason) of the rows that cannot be read.
        notes: sentences for the user.
    """

    def __init__(self, file: Path, columns: frozenset[str] = KNOWN):
        self.file, self.columns = file, columns
        self.header: list[str] = []
        self.bad: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Row]:
        self.bad, self.notes = [], []
        ending = self.file.suffix.lower()
        read: Callable[[Rows], Iterator[Row]] = READERS.get(ending, read_csv)
        try:
            with open_regular(self.file):  # a named pipe would wait for ever
                pass
            for n, row in enumerate(read(self)):
                if n % ROWS_PER_CHECK == 0:
                    check_room(self.file, n)
                yield row
        except (OSError, ValueError, csv.Error, RecursionError, ArithmeticError, LookupError, RuntimeError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else shortened(printable(str(error)), 200)
            raise UserError(f"{self.file}: cannot be read as a {ending} table ({reason}).") from error

    @property
    def encoding(self) -> str:
        """The encoding of the text; a sentence is noted where it is a guess."""
        encoding = encoding_of(self.file)
        if encoding in ("cp1252", "latin-1"):
            self.notes.append(f"{self.file} is not UTF-8: it is read as Latin-1 (Windows-1252)")
        return encoding

    def pick(self, names: Sequence[str]) -> list[tuple[int, str]]:
        """(place, name) of the columns that are read."""
        return [(i, name) for i, name in enumerate(names) if name in self.columns]


def check_room(file: Path, n: int) -> None:
    """Raise UserError where a table has more rows than can be held."""
    if n >= MAX_ROWS:
        raise UserError(f"{file}: has more than {MAX_ROWS:,} rows; split it into several tables.")
    if free_host_memory() < LEFT_FREE:
        raise UserError(f"{file}: its first {n:,} rows fill the memory; split it into several tables.")


def check_count(file: Path, n: int) -> None:
    """Raise UserError where a table states more rows than can be held."""
    if n > MAX_ROWS or n * BYTES_PER_ROW > free_host_memory():
        room = "" if n > MAX_ROWS else f", which need {n * BYTES_PER_ROW / 1e9:,.1f} GB of memory"
        what = f"more than {MAX_ROWS:,} rows" if n > MAX_ROWS else f"{n:,} rows"
        raise UserError(f"{file}: has {what}{room}; split it into several tables.")


def check_numbers(file: Path, column: str, n: int) -> None:
    """Raise UserError where the n numbers of a column of features do not fit into memory twice, which reading them takes."""
    free = free_host_memory()
    if n * BYTES_PER_NUMBER > free / 2:
        raise UserError(
            f"{file}: its column {column!r} takes {n * BYTES_PER_NUMBER / 1e9:,.1f} GB of memory, more than half of the "
            f"{free / 1e9:,.1f} GB that are free; save the features as .npy files, which are read where they lie."
        )


def read_rows(path: Path) -> list[Row]:
    """The rows of a table, a dict each, with the columns of KNOWN that it has.

    Raises:
        UserError: it cannot be read, or a row is none.
    """
    rows = Rows(path)
    read = list(rows)
    if rows.bad:
        where, reason = rows.bad[0]
        raise UserError(f"{path}: {where} {reason}.")
    return read


# ---------------------------------------------------------------------------------------------------- .csv and .tsv


def read_csv(table: Rows) -> Iterator[Row]:
    """Rows of a .csv or .tsv. A file that is not UTF-8 is taken for UTF-16 or Latin-1."""
    encoding = table.encoding
    limit = csv.field_size_limit(MAX_FIELD)
    try:
        with table.file.open(encoding=encoding, newline="") as text:
            yield from parse_csv(table, text)
    finally:
        csv.field_size_limit(limit)


def parse_csv(table: Rows, text: TextIO) -> Iterator[Row]:
    lines = (line.replace("\0", "\ufffd") for line in iter(lambda: text.readline(MAX_LINE), ""))
    first = next(lines, "")
    named = first.rstrip("\r\n")
    if named.lower().startswith("sep=") and len(named) == 5:
        delimiter, first = named[4], next(lines, "")
    else:
        delimiter = delimiter_of(first)
    reader = csv.reader(chain([first], lines), delimiter=delimiter)
    table.header = [name.strip() for name in next(reader, [])]
    places = table.pick(table.header)
    for cells in reader:
        if cells:
            yield {name: kept(name, cells[i]) if i < len(cells) else "" for i, name in places}


def delimiter_of(header: str) -> str:
    """What divides the names of a header: that which leaves most names that are known, or else most names.

    Example:
        >>> delimiter_of("path;label,1"), delimiter_of("path"), delimiter_of("a;b;c")
        (';', ',', ';')
    """

    def fitness(delimiter: str) -> tuple[int, int]:
        names = [name.strip(' "\r\n') for name in header.split(delimiter)]
        return len(KNOWN.intersection(names)), len(names)

    return max(DELIMITERS, key=fitness)


def encoding_of(file: Path) -> str:
    """The encoding of a text: by its mark, or UTF-8, or Latin-1 with what Windows adds, where not all is UTF-8."""
    with open_regular(file) as f:
        head = f.read(HEAD)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head.count(b"\0") > len(head) / 4:  # ASCII in UTF-16 without its mark
        return "utf-16-le" if head[1::2].count(b"\0") >= head[::2].count(b"\0") else "utf-16-be"
    return next((name for name in ("utf-8-sig", "cp1252") if decodes(file, name)), "latin-1")


def decodes(file: Path, encoding: str) -> bool:
    """Whether a whole file is of an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_regular(file) as f:
        try:
            while block := f.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


# ------------------------------------------------------------------------------------------------- .jsonl and .json


def read_json_lines(table: Rows) -> Iterator[Row]:
    """Rows of a .jsonl: lines end at line feeds only, for a text may hold U+2028. A line that is no object is bad."""
    encoding = table.encoding
    if encoding.startswith("utf-16"):
        raise ValueError("JSON lines are UTF-8")
    with open_regular(table.file) as f:
        for number, line in enumerate(iter(lambda: f.readline(MAX_LINE), b""), 1):
            text = line.decode(encoding).strip()
            if not text:
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                reason = "is nested too deeply" if isinstance(error, RecursionError) else f"is no JSON ({shortened(str(error))})"
                table.bad.append((f"line {number}", reason))
                continue
            if isinstance(row, dict):
                yield json_row(table, row)
            else:
                table.bad.append((f"line {number}", 'is no object such as {"path": "a.jpg"}'))


def read_json(table: Rows) -> Iterator[Row]:
    """Rows of a .json: a list of objects."""
    if table.file.stat().st_size > MAX_JSON:
        raise ValueError(f"it has more than {MAX_JSON:,} bytes; write a line for each object, as .jsonl")
    with open_regular(table.file) as f:
        rows = json.loads(f.read())
    if not isinstance(rows, list):
        raise ValueError('it is no list of objects such as [{"path": "a.jpg"}]')
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            yield json_row(table, row)
        else:
            table.bad.append((f"entry {number}", 'is no object such as {"path": "a.jpg"}'))


def json_row(table: Rows, row: Row) -> Row:
    if not table.header:
        table.header = [shortened(str(name)) for name in row]
    return {name: kept(name, row[name]) for name in table.columns if name in row}


def kept(name: str, value: Any) -> Any:
    """What is kept of a cell: of a column of features its numbers, of any other one a bounded length."""
    return vector_of(value) if name in VECTOR_COLUMNS else cut(value)


def cut(value: Any) -> Any:
    """A cell of bounded length; of lists and objects the text."""
    if isinstance(value, (list, dict)):
        return shortened(repr(value), MAX_CELL) if len(value) < MAX_CELL else "[...]"
    return value[:MAX_CELL] if isinstance(value, str) else value


# ---------------------------------------------------------------------------------------------------------- .parquet and .arrow


def read_columns(table: Rows) -> Iterator[Row]:
    """Rows of a .parquet or .arrow. Texts stay in their dictionaries: a million equal ones are one, however long."""
    import pyarrow as pa

    schema = schema_of(table.file)
    table.header = list(schema.names)
    names = [name for name in schema.names if name in table.columns and is_read(name, schema.field(name).type)]
    texts = [
        name
        for name in names
        if (pa.types.is_string(schema.field(name).type) or pa.types.is_large_string(schema.field(name).type))
    ]
    file = open_table(table.file, texts)
    check_count(table.file, file.n_rows)
    for name in VECTOR_COLUMNS:
        if name in names:
            check_numbers(table.file, name, file.count_numbers(name))
    for columns in file.batches(names):
        values = [vectors_of(cells) if name in VECTOR_COLUMNS else python_values(cells) for name, cells in zip(names, columns)]
        yield from (dict(zip(names, row)) for row in zip(*values))


def is_read(name: str, kind: Any) -> bool:
    """Whether a column of a type is read: nested ones only where they are lists of features."""
    import pyarrow as pa

    return is_list(kind) if name in VECTOR_COLUMNS else not pa.types.is_nested(kind)


def python_values(column: Any) -> list[Any]:
    """The cells of a column, cut."""
    if not hasattr(column, "dictionary"):
        return [cut(value) if not isinstance(value, bytes) else None for value in column.to_pylist()]
    texts = [cut(value) if not isinstance(value, bytes) else None for value in column.dictionary.to_pylist()]
    return [None if i is None else texts[i] for i in column.indices.to_pylist()]


READERS = {".jsonl": read_json_lines, ".json": read_json, ".parquet": read_columns, ".arrow": read_columns}
