"""What a source holds besides its items: nothing is left out without a line.

What could have been an item is listed with its reason (in skipped.csv); other files, hidden ones and selflabel's own are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from selflabel.base.text import as_utf8, is_utf8, printable, shortened
from selflabel.items.endings import ending_of, reason_not_read
from selflabel.items.skipped import as_skipped

NOT_UTF8 = "its name is not UTF-8; rename it"
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "recycler", "system volume information"}
    | {"__macosx", "lost+found", "__pycache__"}
)
NAMED = 3  # names that a line gives as examples
REASONS = 6  # that have lines of their own


class Unread:
    """What is not read of a source.

    Attributes:
        skipped: (path, reason) of what could have been an item, or cannot be looked into.
        others: ending to number of the files that are no media.
        passed: kind ("hidden or system folder", ...) to the names that were passed over.
        tables: the .parquet, .tar, .npy and .arrow files among them, which are read where there is nothing else.
    """

    def __init__(self) -> None:
        self.skipped: list[tuple[str, str]] = []
        self.others: Counter[str] = Counter()
        self.passed: dict[str, list[str]] = {}
        self.tables: dict[str, list[str]] = {".parquet": [], ".tar": [], ".npy": [], ".arrow": []}

    def skip(self, name: str, reason: str) -> None:
        """List what cannot be read."""
        self.skipped.append((as_utf8(name), reason))

    def pass_over(self, kind: str, name: str) -> None:
        """Count something of a kind that is passed over."""
        self.passed.setdefault(kind, []).append(name)

    def add(self, other: Unread, prefix: str) -> None:
        """Add what was not read of another place, whose names begin with `prefix` here."""
        self.skipped += [(prefix + name, reason) for name, reason in other.skipped]
        self.others += other.others
        for kind, names in other.passed.items():
            self.passed.setdefault(kind, []).extend(prefix + name for name in names)

    def forget(self, names: list[str]) -> None:
        """Take out files that are read after all."""
        self.others -= Counter(ending_of(name) for name in names)
        read = set(names)
        self.skipped = [(name, reason) for name, reason in self.skipped if name not in read]

    def add_other(self, name: str) -> None:
        """List or count a file that is no image, video or sound by its ending."""
        ending = ending_of(name)
        if is_hidden_file(name):
            self.pass_over("hidden file", name)
            return
        if ending in self.tables and is_utf8(name):
            self.tables[ending].append(name)
        reason = reason_not_read(ending)
        if reason:
            self.skip(name, reason)
        else:
            self.others[ending or "without an ending"] += 1

    @property
    def notes(self) -> list[str]:
        """A sentence for all that was counted, and not listed."""
        lines = []
        if self.passed:
            lines.append("passed over: " + ", ".join(f"{count(kind, names)}" for kind, names in self.passed.items()))
        if self.others:
            counts = ", ".join(f"{n:,} {ending}" for ending, n in self.others.most_common(2 * NAMED))
            more = ", ..." if len(self.others) > 2 * NAMED else ""
            lines.append(f"no images, videos or sounds, not read: {counts}{more}")
        return lines


def count(kind: str, names: list[str]) -> str:
    """The number of names, and the first of them.

    Example:
        >>> count("hidden file", [".a", ".b", ".c", ".d"])
        '4 hidden files (.a, .b, .c, ...)'
    """
    noun = kind if len(names) == 1 else plural(kind)
    return f"{len(names):,} {noun} ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})"


def plural(kind: str) -> str:
    """ "link to a folder, not followed" becomes "links to folders, not followed"."""
    if kind.startswith("link to a folder"):
        return kind.replace("link to a folder", "links to folders")
    first, of, rest = kind.partition(" of ")
    return f"{first}s{of}{rest}"


def skip_notes(skipped: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence for each reason why something was skipped, the commonest first, with the first path."""
    first: dict[str, str] = {}
    for entry in map(as_skipped, skipped):
        first.setdefault(entry[1], f"{shortened(entry.path)}, {entry.row}" if entry.row else shortened(entry.path))
    counts = Counter(reason for _, reason in skipped)
    lines = [f"skipped {n:,}: {reason} (the first: {first[reason]})" for reason, n in counts.most_common(REASONS)]
    rest = sum(counts.values()) - sum(n for _, n in counts.most_common(REASONS))
    return [*lines, f"skipped {rest:,} for other reasons, see skipped.csv"] if rest else lines


def is_hidden(name: str) -> bool:
    """Whether a file's or folder's own name is hidden, or that of a system folder.

    Example:
        >>> [is_hidden(name) for name in (".git", "@eaDir", ".", "photos")]
        [True, True, False, False]
    """
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in SYSTEM_FOLDERS


def is_hidden_file(path: str) -> bool:
    """Whether the last part of a path is hidden."""
    return path[path.rfind("/") + 1 :].startswith(".")


def hidden_folder(path: str) -> str:
    """The hidden or system folder that a member of an archive lies in, "" where it lies in none.

    Example:
        >>> hidden_folder("set/__MACOSX/._a.png"), hidden_folder("./set/a.png")
        ('set/__MACOSX', '')
    """
    parts = path.split("/")[:-1] if "/" in path else ()
    return next(("/".join(parts[: i + 1]) for i, part in enumerate(parts) if is_hidden(part)), "")


def one_line(notes: Iterable[str]) -> list[str]:
    """The sentences without anything that would break a terminal's line."""
    return [printable(note) for note in notes]
