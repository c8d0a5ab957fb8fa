"""What a format sees of a run: the items that are left, in the order of their ids, and the classes that their clusters are."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.edits import Edit
from selflabel.exports.names import safe_names, unique_names
from selflabel.runs.run import Run
from selflabel.runs.sources import Paths, Source

ANY = ("image", "video", "audio", "features")
FILES = ("image", "video", "audio")
LEFT_OUT = "left-out.csv"
EVERY = 64  # items between two words of progress

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Format:
    """A format: `what` it is and what `reads` it, in a few words each. ending: of the file; "" where it is a folder. takes: the
    kinds of items that it can hold. write: puts the items at a path that is the format's own; what it returns goes into
    export.json. wants_source: whether the items' own bytes are needed. links: whether files can be links to the items' own.
    """

    what: str
    reads: str
    write: Callable[[Taken, Path], dict[str, Any] | None]
    ending: str = ""
    takes: tuple[str, ...] = ANY
    wants_source: bool = True
    links: bool = False


@dataclass(frozen=True)
class Category:
    """A class of the export: a cluster that has items. `folder` is its name as a safe folder name, unlike any other's."""

    index: int
    cluster: int
    name: str
    folder: str
    size: int


@dataclass(frozen=True)
class Item:
    """An item that goes into the export. row: its id in the run."""

    row: int
    path: str
    confidence: float
    category: Category


class LeftOut:
    """What the export has not got, and why: counted, and written down as it comes."""

    def __init__(self, file: Path | None):
        self.count, self.first = 0, ""
        self.handle = file.open("w", encoding="utf-8", newline="") if file else None
        self.writer = csv.writer(self.handle, lineterminator="\n") if self.handle else None
        self.row("path", "reason")

    def row(self, *values: str) -> None:
        if self.writer:
            self.writer.writerow(values)

    def add(self, path: str, reason: str) -> None:
        self.count += 1
        self.first = self.first or f"{path}: {reason}"
        self.row(path, reason)

    def close(self) -> None:
        if self.handle:
            self.handle.close()


@dataclass
class Taken:
    """A labelling to be exported.

    labels: (N,) int32, -1 for a rejected item. place_of: (largest cluster + 2,) index of the category that a label is; the
    last, which -1 finds, is that of none. how: "copy", "hard" or "link".
    """

    run: Run
    name: str  # of the file or folder that is written
    raw: bool
    edits: list[Edit]  # that were there when the export began
    paths: Paths
    labels: np.ndarray
    confidence: np.ndarray
    categories: list[Category]
    source: Source
    how: str
    left_out: LeftOut
    progress: Progress
    place_of: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.place_of = np.full(max((c.cluster for c in self.categories), default=-1) + 2, -1, np.int32)
        self.place_of[[c.cluster for c in self.categories]] = np.arange(len(self.categories))

    @property
    def rows(self) -> np.ndarray:
        """Of the items that are not rejected."""
        return np.flatnonzero(self.labels >= 0)

    @cached_property
    def modalities(self) -> set[str]:
        """What the run looked at and listened to."""
        return set(self.run.recorded.get("worked_out", {}))

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.categories]

    def items(self, rows: np.ndarray | None = None) -> Iterator[Item]:
        rows = self.rows if rows is None else rows
        for done, row in enumerate(rows):
            if done % EVERY == 0:
                self.progress(done, len(rows))
            yield self.item(int(row))
        self.progress(len(rows), len(rows))

    def item(self, row: int) -> Item:
        category = self.categories[self.place_of[self.labels[row]]]
        return Item(row, self.paths[row], round(float(self.confidence[row]), 4), category)


def categories_of(labels: np.ndarray, names: dict[int, str]) -> list[Category]:
    """The clusters that have items, as classes, in the order of their numbers."""
    clusters, sizes = np.unique(labels[labels >= 0], return_counts=True)
    shown = unique_names({int(c): names.get(int(c), "") for c in clusters})
    folders = safe_names(shown)
    return [Category(i, int(c), shown[int(c)], folders[int(c)], int(n)) for i, (c, n) in enumerate(zip(clusters, sizes))]
