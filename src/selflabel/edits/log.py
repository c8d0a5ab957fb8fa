"""The log on disk: edits.jsonl, append-only, safe for several writers at once.

A line counts once its newline is on disk: a write that was cut off is no edit, and the next append clears it away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.files import lock
from selflabel.edits.kinds import Edit, parse

LOG = "edits.jsonl"
BLOCK = 65_536  # bytes read at a time when the last newline is looked for


def read_edits(folder: Path) -> list[Edit]:
    """Every edit in a run folder's log, oldest first, `undo` and `redo` among them.

    Raises:
        UserError: a line is no edit.
    """
    return Reader(folder).edits()


class Reader:
    """The log read as it grows: only the lines that are new since it was last asked are parsed."""

    def __init__(self, folder: Path):
        self.file = Path(folder) / LOG
        self.known: list[Edit] = []
        self.lines = self.end = 0

    def edits(self) -> list[Edit]:
        """As `read_edits`; the list grows and is never changed otherwise."""
        if not self.file.exists():
            self.known, self.lines, self.end = [], 0, 0
            return self.known
        with self.file.open("rb") as f:
            if f.seek(0, os.SEEK_END) < self.end:  # another log in its place
                self.known, self.lines, self.end = [], 0, 0
            f.seek(self.end)
            data = f.read()
        whole = data[: data.rfind(b"\n") + 1]
        new = whole.split(b"\n")[:-1]
        self.known = [*self.known, *(parsed_line(self.file, self.lines + i, x) for i, x in enumerate(new, 1) if x.strip())]
        self.lines, self.end = self.lines + len(new), self.end + len(whole)
        return self.known


def parsed_line(file: Path, number: int, line: bytes) -> Edit:
    try:
        return parse(json.loads(line))
    except (ValueError, UserError) as error:
        raise UserError(f"{file}: line {number} is no edit ({error}); take that line out.") from error


def append(folder: Path, edit: Edit) -> Edit:
    """Add an edit to the log: on disk when this returns, whole or not at all, whoever else writes.

    Raises:
        UserError: it cannot be written.
    """
    file = Path(folder) / LOG
    data = edit.model_dump_json().encode() + b"\n"
    try:
        with opened_alone(file) as handle:
            end = mended_end(handle)
            if os.write(handle, data) != len(data):
                os.ftruncate(handle, end)
                raise OSError("the disk is full")
            os.fsync(handle)
    except OSError as error:
        raise UserError(f"{file}: the edit cannot be written ({error}); make room or mend the folder's rights.") from error
    return edit


@contextmanager
def opened_alone(file: Path) -> Iterator[int]:
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        lock(handle, wait=True)  # where there are none, one append is still one write
        yield handle
    finally:
        os.close(handle)


def mended_end(handle: int) -> int:
    """Cut off what follows the last newline, which a crash left; the length after that, in bytes."""
    end = at = os.fstat(handle).st_size
    while at > 0:
        start = max(0, at - BLOCK)
        os.lseek(handle, start, os.SEEK_SET)
        newline = os.read(handle, at - start).rfind(b"\n")
        if newline >= 0:
            at = start + newline + 1
            break
        at = start
    if at < end:
        os.ftruncate(handle, at)
    return at
