"""Where items are that are looked up by their names: their bytes or array rows by row number, never outside the source.

A folder's items are looked up when they are asked for, so that a page over a million files opens at once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items import KINDS, Blob, Items, open_items, read_rows
from selflabel.items.endings import ENDINGS
from selflabel.items.files import OutsideFolder, file_below
from selflabel.items.grouping import modalities_of
from selflabel.items.manifest import kind_of_column, path_columns
from selflabel.items.row_paths import row_number
from selflabel.runs.missing import Missing


class Source(Protocol):
    """The items of a run, a row per item."""

    def blobs(self, row: int) -> dict[str, Blob]:
        """The item's bytes by modality; empty for an array. Raises Missing."""
        ...

    def values(self, row: int) -> np.ndarray:
        """The item's pixels (H, W[, C]) or features (D,), of an array. Raises Missing."""
        ...


class LostSource:
    """A source that cannot be found."""

    def __init__(self, reason: str):
        self.reason = reason

    def blobs(self, row: int) -> dict[str, Blob]:
        raise Missing(self.reason)

    def values(self, row: int) -> np.ndarray:
        raise Missing(self.reason)


class FileSource:
    """Items that are files; a subclass defines which."""

    def __init__(self, root: Path, paths: Sequence[str]):
        self.root, self.paths = root.resolve(), paths

    def values(self, row: int) -> np.ndarray:
        raise Missing("is no row of an array")


class FolderSource(FileSource):
    """Files below a folder, with the sound file of the same stem beside each where the run has sounds."""

    def __init__(self, root: Path, paths: Sequence[str], with_sound: bool = True, follow: bool = False):
        super().__init__(root, paths)
        self.with_sound, self.find = with_sound, linked_file if follow else confined_file

    def blobs(self, row: int) -> dict[str, Blob]:
        name = self.paths[row]
        group = {kind_of(name): Blob(str(self.find(self.root, name)))}
        if self.with_sound and "audio" not in group:
            sound = self.sound_beside(name)
            group |= {"audio": Blob(str(self.find(self.root, sound)))} if sound else {}
        return modalities_of(group)

    def sound_beside(self, name: str) -> str | None:
        """The name of the sound file of the same stem."""
        names = (str(Path(name).with_suffix(ending)) for ending in KINDS["audio"])
        return next((other for other in names if (self.root / other).exists()), None)


class ManifestSource(FileSource):
    """Files named by a manifest: relative names below its folder, absolute ones as they are.

    Args:
        file: the manifest.
        paths: (N,) of the items.
        with_absolute: whether absolute names are read; not where the manifest lies in a run folder, which may be a stranger's.
    """

    def __init__(self, file: Path, paths: Sequence[str], with_absolute: bool = True):
        super().__init__(file.parent, paths)
        self.file, self.with_absolute, self.lock = file, with_absolute, threading.Lock()

    @cached_property
    def cells(self) -> tuple[np.ndarray, dict[str, list[str]]]:
        """(N,) the line of every row, -1 for none, and the cells of the columns that hold paths."""
        rows = read_rows(self.file)
        columns = {c: [str(row.get(c) or "") for row in rows] for c in path_columns(rows)}
        first = [next((text for text in texts if text), "") for texts in zip(*columns.values())]
        return rows_of_repeats(list(self.paths), first), columns

    def blobs(self, row: int) -> dict[str, Blob]:
        with self.lock:
            lines, columns = self.cells
        if lines[row] < 0:
            raise Missing(f"{self.file.name} does not name it any more")
        group: dict[str, Blob] = {}
        for column, names in columns.items():
            name = names[lines[row]]
            if name:
                group.setdefault(kind_of_column(column, name), Blob(str(self.file_of(name))))
        return modalities_of(group)

    def file_of(self, name: str) -> Path:
        """The file of a cell. Raises Missing."""
        return Path(name) if self.with_absolute and Path(name).is_absolute() else confined_file(self.root, name)


class TableSource:
    """Arrays, tar shards and embedded sets: opened when the first item is asked for."""

    def __init__(self, name: str | Sequence[str], paths: Sequence[str]):
        self.names, self.paths, self.lock = [name] if isinstance(name, str) else list(name), paths, threading.Lock()

    @cached_property
    def table(self) -> tuple[Items, np.ndarray | None]:
        """The items, and (N,) which of them each of the run's is, -1 for none; None where that is the number in the path."""
        items = open_items(self.names)
        in_order = items.array is not None and not items.skipped
        return items, None if in_order else rows_of_repeats(list(self.paths), items.paths)

    def locate(self, row: int) -> tuple[Items, int]:
        """The items, and which of them the run's row is. Raises Missing."""
        with self.lock:
            try:
                items, rows = self.table
            except UserError as error:
                raise Missing(str(error)) from error
        path = self.paths[row]
        i = int(rows[row]) if rows is not None else row_number(path)
        if not 0 <= i < len(items):
            raise Missing(f"{self.names[0]} does not hold it any more")
        return items, i

    def blobs(self, row: int) -> dict[str, Blob]:
        items, i = self.locate(row)
        by_modality = {m: blobs[i] for m, blobs in items.blobs.items()}
        return {m: blob for m, blob in by_modality.items() if blob is not None}

    def values(self, row: int) -> np.ndarray:
        items, i = self.locate(row)
        if items.array is None:
            raise Missing("is no row of an array")
        return np.asarray(items.array[i])


def rows_of_repeats(wanted: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """(N,) where each of N names is among others, -1 for one that is not there: the n-th of a name is the n-th there, or else its
    last.

    Example:
        >>> rows_of_repeats(["b", "a", "b", "b", "c"], ["a", "b", "b"]).tolist()
        [1, 0, 2, 2, -1]
    """
    if len(set(names)) == len(names):
        only = dict(zip(names, range(len(names))))
        return np.fromiter((only.get(name, -1) for name in wanted), np.int64, len(wanted))
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    turns = dict.fromkeys(places, 0)
    rows = np.full(len(wanted), -1, np.int64)
    for row, name in enumerate(wanted):
        if name in places:
            rows[row] = places[name][min(turns[name], len(places[name]) - 1)]
            turns[name] += 1
    return rows


def kind_of(name: str) -> str:
    """ "image", "video" or "audio" by the ending. Raises Missing."""
    kind = ENDINGS.get(Path(name).suffix.lower())
    if kind is None:
        raise Missing("its ending is that of no image, video or sound")
    return kind


def confined_file(root: Path, name: str) -> Path:
    """The file of that name below `root`. Raises Missing where it is not there, or lies outside, also through a link."""
    try:
        return file_below(root, name)
    except OutsideFolder:
        raise Missing("it lies outside the source, perhaps through a link (--follow-links reads it)") from None
    except FileNotFoundError:
        raise Missing("there is no such file any more") from None
    except ValueError as error:
        raise Missing("its name is that of no file") from error


def linked_file(root: Path, name: str) -> Path:
    """The file of that name below `root`, wherever a link may lead. Raises Missing."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise Missing("it lies outside the source")
    return root / name if (root / name).is_file() else confined_file(root, name)
