"""The log on disk: edits.jsonl, append-only, safe for several writers at once.

A line counts once its newline is on disk: a write that was cut off is no edit, and the next append removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from selflabel.base.errors import UserError
from selflabel.base.files import lock, open_regular
from selflabel.edits.kinds import Edit, parse

LOG = "edits.jsonl"
BLOCK = 65_536  # bytes read at a time to find the last newline


def read_edits(folder: Path) -> list[Edit]:
    """Every edit in a run folder's log, oldest first, undo and redo among them.

    Raises:
        UserError: a line is no edit.
    """
    return LogReader(folder).edits()


class LogReader:
    """Reads a log that grows: each call parses only the lines that are new.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path):
        self.file = Path(folder) / LOG
        self.parsed: list[Edit] = []
        self.n_lines = self.n_bytes = 0  # of the file that are parsed

    def edits(self) -> list[Edit]:
        """As `read_edits`. Lists that were returned before are not changed.

        Raises:
            UserError: a line is no edit.
        """
        if not self.file.exists() and not self.file.is_symlink():
            self.start_over()
            return self.parsed
        with open_log(self.file) as f:
            if f.seek(0, os.SEEK_END) < self.n_bytes:  # it was replaced by another log
                self.start_over()
            f.seek(self.n_bytes)
            data = f.read()
        complete = data[: data.rfind(b"\n") + 1]
        lines = complete.split(b"\n")[:-1]
        new = [parse_line(self.file, self.n_lines + i, line) for i, line in enumerate(lines, 1) if line.strip()]
        self.parsed = [*self.parsed, *new]
        self.n_lines, self.n_bytes = self.n_lines + len(lines), self.n_bytes + len(complete)
        return self.parsed

    def start_over(self) -> None:
        self.parsed, self.n_lines, self.n_bytes = [], 0, 0


def open_log(file: Path) -> BinaryIO:
    """The log, open for reading. Raises UserError."""
    try:
        return open_regular(file, follow=False)
    except OSError as error:
        raise UserError(f"{file}: cannot be read as the log of edits, which is a file and no link ({error}).") from error


def parse_line(file: Path, number: int, line: bytes) -> Edit:
    try:
        return parse(json.loads(line))
    except (ValueError, RecursionError, UserError) as error:
        raise UserError(f"{file}: line {number} is no edit ({error}); take that line out.") from error


def append(folder: Path, edit: Edit) -> Edit:
    """Add an edit to the log. It is on disk when this returns, complete or not at all, whichever other processes write.

    Args:
        folder: the run folder.
        edit: as `parse` makes it.

    Returns:
        The edit.

    Raises:
        UserError: the log cannot be written.
    """
    written = append_made(folder, lambda: edit)
    assert written is not None
    return written


def append_made(folder: Path, make: Callable[[], Edit | None]) -> Edit | None:
    """Add an edit that is made while nobody else can write, so that it fits the labels that it is for.

    Args:
        folder: the run folder.
        make: returns the edit, or None for none; what it raises leaves the log as it was.

    Returns:
        The edit, as `append`; None where there is none.

    Raises:
        UserError: the log cannot be written, or by `make`.
    """
    file = Path(folder) / LOG
    try:
        with open_locked(file) as handle:
            end = remove_partial_line(handle)
            edit = make()
            if edit is not None:
                write_line(handle, end, edit)
    except OSError as error:
        raise UserError(f"{file}: the edit cannot be written ({error}); make room or change the folder's permissions.") from error
    return edit


def write_line(handle: int, end: int, edit: Edit) -> None:
    """Write an edit at the end of a log of `end` bytes, whole or not at all."""
    data = edit.model_dump_json().encode() + b"\n"
    try:
        if os.write(handle, data) != len(data):
            raise OSError("the disk is full")
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, end)
        raise


@contextmanager
def open_locked(file: Path) -> Iterator[int]:
    """A file descriptor for reading and appending that no other process holds at the same time."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)  # a link leads elsewhere
    try:
        lock(handle, wait=True)  # a file system without locks still appends each write in one piece
        yield handle
    finally:
        os.close(handle)


def remove_partial_line(handle: int) -> int:
    """Cut off what follows the last newline, which a crash left. Returns the length after that, in bytes."""
    length = end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - BLOCK)
        os.lseek(handle, start, os.SEEK_SET)
        newline = os.read(handle, end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < length:
        os.ftruncate(handle, end)
    return end
