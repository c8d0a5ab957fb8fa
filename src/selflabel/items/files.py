"""A name in a folder or a manifest to its file, never outside the folder."""

from __future__ import annotations

import os
from pathlib import Path


class OutsideFolder(Exception):
    """A relative name leads out of its folder, by '..' or through a link."""


def file_below(root: Path, name: str, follow_links: bool = False) -> Path:
    """The file of that name in a folder, its links resolved.

    Args:
        root: the folder, resolved.
        name: relative to it.
        follow_links: whether links may lead out of it; '..' never does.

    Raises:
        OutsideFolder: it lies elsewhere.
        FileNotFoundError: there is no file of that name.
        ValueError: no file can have that name, or it cannot be looked up.
    """
    try:
        file = Path(os.path.realpath(root / name))
        leads_up = Path(name).is_absolute() or ".." in Path(name).parts
        is_inside = file.is_relative_to(root) or (follow_links and not leads_up)
        is_there = is_inside and file.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: is the name of no file") from error
    if not is_inside:
        raise OutsideFolder(name)
    if not is_there:
        raise FileNotFoundError(name)
    return file
