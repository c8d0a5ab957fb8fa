"""The files that a name with a wildcard or a range stands for."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from selflabel.base.errors import UserError

MAX_FILES = 1_000_000  # that a range may stand for
MAX_DIGITS = 18
SPAN = re.compile(r"\{(\d+)\.\.(\d+)\}")


def expand(name: str) -> list[str]:
    """The names that a glob or WebDataset's range ({000..099}) stands for, in order; the name itself otherwise.

    A glob is *.tar, or **/*.wav for the files of all folders below.

    Raises:
        UserError: a range of too many files.

    Example:
        >>> expand("set-{08..11}.tar")
        ['set-08.tar', 'set-09.tar', 'set-10.tar', 'set-11.tar']
    """
    if SPAN.search(name):
        return expand_range(name)
    if glob.has_magic(name) and not exists(name):
        return sorted(glob.glob(name, recursive=True))  # noqa: PTH207
    return [name]


def expand_range(name: str) -> list[str]:
    """The names that a range stands for; the name itself without one. Raises UserError where they are too many."""
    span = SPAN.search(name)
    if not span:
        return [name]
    first, last = span.groups()
    if len(first) > MAX_DIGITS or len(last) > MAX_DIGITS or int(last) - int(first) >= MAX_FILES:
        raise UserError(f"{name[:200]}: stands for more than {MAX_FILES:,} files; give a shorter range.")
    return [name.replace(span.group(), f"{i:0{len(first)}d}") for i in range(int(first), int(last) + 1)]


def is_listed(name: str) -> bool:
    """Whether there is something of that name, be it a link that leads nowhere."""
    try:
        return os.path.lexists(name)
    except ValueError:
        return False


def exists(name: str) -> bool:
    """Whether there is a file or folder of that name; no name at all is none."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
