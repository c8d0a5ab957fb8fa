"""Writing CSV tables whose lines end in a line feed, and whose cells may hold any character."""

from __future__ import annotations

import csv
from typing import Any, TextIO


class LineFeeds:
    """Writes lines that end in "\\r\\n" with "\\n" at their ends."""

    def __init__(self, file: TextIO):
        self.file = file

    def write(self, line: str) -> None:
        """Write a line."""
        self.file.write(line[:-2] + "\n")


def csv_writer(file: TextIO) -> Any:
    """A writer as `csv.writer` makes it. That one quotes a cell with a carriage return only where lines end in one, too.

    Args:
        file: opened with newline="".
    """
    return csv.writer(LineFeeds(file), lineterminator="\r\n")
