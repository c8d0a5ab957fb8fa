"""Items of a folder: every image, video and sound below it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.items.endings import ENDINGS, ending_of
from selflabel.items.grouping import group_by_stem
from selflabel.items.table import Blob, Items


def from_folder(root: Path) -> Items:
    """Every image, video and sound below `root`, in the order of its path; links to folders are not followed.

    Raises:
        UserError: there is none.
    """
    names = media_below(root)
    if not names:
        raise UserError(f"{root}: no images, videos or sounds found below this folder (looked for {', '.join(sorted(ENDINGS))}).")
    return group_by_stem(str(root), names, FolderFiles(root, names))


def media_below(root: Path) -> list[str]:
    """Names of media files below `root`, folders divided by "/", in the order of their paths; hidden files are left out."""
    names: list[str] = []
    for folder, _, files in os.walk(root):
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        names += [prefix + name for name in files if ending_of(name) in ENDINGS and not name.startswith(".")]
    return sorted(names, key=path_order)


def path_order(name: str) -> str:
    """Sorts as the parts of the path do: all of a/ comes before a-1.png. No file's name has a zero byte."""
    return os.path.normcase(name).replace(os.sep, "\0")


class FolderFiles(Sequence[Blob]):
    """The files of a folder by their names; a blob is made when it is needed."""

    def __init__(self, root: Path, names: list[str]):
        self.names = names
        self.prefix = "" if str(root) == "." else os.path.join(root, "")  # noqa: PTH118  keeps the last separator

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row):  # a whole number, never a slice
        return Blob(self.prefix + self.names[row].replace("/", os.sep))
