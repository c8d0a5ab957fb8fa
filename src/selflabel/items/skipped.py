"""What is left out of a source: an entry for each file, or for each piece of a file, with the reason."""

from __future__ import annotations

from selflabel.items.piece import Piece


class Skipped(tuple[str, str]):
    """(path, reason) of what is left out, with what else is known of it.

    Args:
        path: as people see it.
        reason: why, without the row: equal reasons are counted together.
        piece: the piece of the file that is meant, as it was given; None for all of it.
        row: where a table names it, as "row 7 of boxes.csv"; "" where that is not known.

    Example:
        >>> path, reason = entry = Skipped("a.jpg", "its box is empty", row="row 7 of boxes.csv")
        >>> path, reason, entry.text
        ('a.jpg', 'its box is empty', 'row 7 of boxes.csv: its box is empty')
    """

    piece: Piece | None
    row: str

    def __new__(cls, path: str, reason: str, piece: Piece | None = None, row: str = "") -> Skipped:
        entry = super().__new__(cls, (path, reason))  # type: ignore[type-var]
        entry.piece, entry.row = piece, row
        return entry

    def __getnewargs__(self):  # that of a tuple has no row
        return *self, self.piece, self.row

    @property
    def path(self) -> str:
        """The file, as people see it."""
        return self[0]

    @property
    def text(self) -> str:
        """The reason, with the row where one is known."""
        return f"{self.row}: {self[1]}" if self.row else self[1]

    def below(self, prefix: str) -> Skipped:
        """The entry with a text before its path."""
        return Skipped(prefix + self[0], self[1], self.piece, self.row)


def as_skipped(entry: tuple[str, str]) -> Skipped:
    """A plain (path, reason) as an entry; an entry as it is."""
    return entry if isinstance(entry, Skipped) else Skipped(*entry)
