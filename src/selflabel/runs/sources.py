"""Where a run's items are, found again from run.toml: by row, and never outside the source.

A folder's items are looked up by name when they are asked for, so that a page over a million files opens at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items import (
    EMBEDDED,
    ENDINGS,
    KINDS,
    MANIFEST_ENDINGS,
    Blob,
    Items,
    modalities_of,
    open_items,
    read_rows,
    tar_shards,
)

if TYPE_CHECKING:
    from selflabel.runs.run import Run


class Missing(Exception):
    """An item cannot be shown; the text says why."""


class Source(Protocol):
    """Where the items of a run are, a row an item."""

    def blobs(self, row: int) -> dict[str, Blob]:
        """The item's bytes by modality; empty for an array. Raises Missing."""
        ...

    def values(self, row: int) -> np.ndarray:
        """The item's pixels or features, of an array. Raises Missing."""
        ...


def open_source(run: Run, paths: Sequence[str], moved_to: str | None = None, follow: bool = False) -> tuple[Source, str]:
    """The source of a run, and "" or why it cannot be found.

    Args:
        run: the run.
        paths: of its items, as in labels.parquet.
        moved_to: where the source is now.
        follow: links in a folder may lead out of it.
    """
    name = moved_to or str(run.recorded.get("settings", {}).get("source", ""))
    try:
        if name in EMBEDDED:
            return FromItems(name, paths), ""
        place = found_place(run.folder, name)
        if place is None:
            why = f"{name} is not there any more; say where it is now with --source"
            return Lost(why), why
        if Path(place).is_dir():
            hears = "audio" in run.recorded.get("worked_out", {})
            return Folder(Path(place), paths, follow, hears), ""
        if Path(place).suffix.lower() in MANIFEST_ENDINGS:
            return Manifest(Path(place), paths), ""
        return FromItems(place, paths), ""
    except UserError as error:
        return Lost(str(error)), str(error)


def found_place(folder: Path, name: str) -> str | None:
    """A source by its name as it was typed: from here, or from a folder above the run."""
    above = [Path(), *folder.resolve().parents]
    for start in above if not Path(name).is_absolute() else [Path()]:
        place = start / name
        try:
            if place.exists() or tar_shards(str(place)):
                return str(place)
        except UserError:
            continue
    return None


class Lost:
    """A source that is not there any more."""

    def __init__(self, why: str):
        self.why = why

    def blobs(self, row: int) -> dict[str, Blob]:
        raise Missing(self.why)

    def values(self, row: int) -> np.ndarray:
        raise Missing(self.why)


class Files:
    """Items that are files; what a subclass decides is where an item's are."""

    def __init__(self, root: Path, paths: Sequence[str]):
        self.root, self.paths = root.resolve(), paths

    def values(self, row: int) -> np.ndarray:
        raise Missing("is no row of an array")


class Folder(Files):
    """Files below a folder; of a run that `hears`, each with the sound of the same stem that lies beside it."""

    def __init__(self, root: Path, paths: Sequence[str], follow: bool = False, hears: bool = True):
        super().__init__(root, paths)
        self.file_of, self.hears = linked_file if follow else confined_file, hears

    def blobs(self, row: int) -> dict[str, Blob]:
        name = self.paths[row]
        file = self.file_of(self.root, name)
        group = {kind_of(name): (name, Blob(str(file)))}
        if self.hears and "audio" not in group:
            beside = (str(Path(name).with_suffix(ending)) for ending in KINDS["audio"])
            sound = next((other for other in beside if (self.root / other).exists()), None)
            group |= {"audio": (sound, Blob(str(self.file_of(self.root, sound))))} if sound else {}
        return modalities_of(group)


class Manifest(Files):
    """Files named by a manifest: relative ones below its folder, absolute ones as they are."""

    def __init__(self, file: Path, paths: Sequence[str]):
        super().__init__(file.parent, paths)
        self.file, self.lock = file, threading.Lock()

    @cached_property
    def lines(self) -> tuple[np.ndarray, dict[str, list]]:
        """Which line each row is, and the columns that hold paths."""
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = read_rows(self.file)
        columns = {c: [str(row.get(c) or "") for row in rows] for c in ("path", *KINDS) if rows and c in rows[0]}
        shown = [next((v for v in values if v), "") for values in zip(*columns.values())]
        found = pc.index_in(pa.array(self.paths, pa.string()), pa.array(shown, pa.string()))
        return found.fill_null(-1).to_numpy(zero_copy_only=False), columns

    def blobs(self, row: int) -> dict[str, Blob]:
        with self.lock:
            lines, columns = self.lines
        if lines[row] < 0:
            raise Missing(f"{self.file.name} does not name it any more")
        group = {}
        for column, names in columns.items():
            name = names[lines[row]]
            if name:
                file = Path(name) if Path(name).is_absolute() else confined_file(self.root, name)
                group[column if column != "path" else ENDINGS.get(Path(name).suffix.lower(), "image")] = (name, Blob(str(file)))
        return modalities_of(group)


class FromItems:
    """Arrays, tar shards and embedded sets: opened when the first item is asked for."""

    def __init__(self, source: str, paths: Sequence[str]):
        self.source, self.paths, self.lock = source, paths, threading.Lock()

    @cached_property
    def items(self) -> tuple[Items, dict[str, int] | None]:
        """The table, and each path's place in it; None where that is the number in its path."""
        items = open_items(self.source)
        in_order = items.array is not None and not items.skipped
        return items, None if in_order else {path: i for i, path in enumerate(items.paths)}

    def place(self, row: int) -> tuple[Items, int]:
        with self.lock:
            try:
                items, places = self.items
            except UserError as error:
                raise Missing(str(error)) from error
        path = self.paths[row]
        at = places.get(path, -1) if places is not None else int(path.removeprefix("row:"))
        if not 0 <= at < len(items):
            raise Missing(f"{self.source} does not hold it any more")
        return items, at

    def blobs(self, row: int) -> dict[str, Blob]:
        items, at = self.place(row)
        found = {m: blobs[at] for m, blobs in items.blobs.items()}
        return {m: blob for m, blob in found.items() if blob is not None}

    def values(self, row: int) -> np.ndarray:
        items, at = self.place(row)
        if items.array is None:
            raise Missing("is no row of an array")
        return np.asarray(items.array[at])


def kind_of(name: str) -> str:
    kind = ENDINGS.get(Path(name).suffix.lower())
    if kind is None:
        raise Missing("its ending is that of no image, video or sound")
    return kind


def confined_file(root: Path, name: str) -> Path:
    """The file of that name below `root`. Raises Missing where it is not there, or lies outside, be it through a link."""
    try:
        file = Path(os.path.realpath(root / name))
        if not file.is_relative_to(root):
            raise Missing("it lies outside the source, perhaps through a link (--follow-links reads it)")
        if not file.is_file():
            raise Missing("there is no such file any more")
    except (OSError, ValueError, RuntimeError) as error:
        raise Missing("its name is that of no file") from error
    return file


def linked_file(root: Path, name: str) -> Path:
    """The file of that name below `root`, wherever a link may lead. Raises Missing."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise Missing("it lies outside the source")
    return root / name if (root / name).is_file() else confined_file(root, name)


def paths_of(run: Run) -> Any:
    """The items' paths as one packed column: a million take 30 MB, as Python strings 100 MB."""
    import pyarrow.parquet as pq

    column = pq.read_table(run.folder / "labels.parquet", columns=["path"])["path"].combine_chunks()
    return Paths(column)


class Paths(Sequence):
    """Paths by row, packed."""

    def __init__(self, column: Any):
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row):  # a whole number, never a slice
        return self.column[int(row)].as_py()

    def __arrow_array__(self, type=None):
        return self.column
