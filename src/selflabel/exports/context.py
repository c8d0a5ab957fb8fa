"""What a format sees of a run: its items without the rejected ones, in the order of their ids, and the classes that its clusters
become.

Axes: N items of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from selflabel.base.csv_writer import csv_writer
from selflabel.edits import Edit
from selflabel.exports.cuts import Cutter
from selflabel.exports.names import safe_names, unique_names
from selflabel.exports.piece_columns import piece_columns, piece_texts
from selflabel.items import Piece, Pieces
from selflabel.runs.missing import Missing
from selflabel.runs.run import Paths, Run
from selflabel.runs.sources import Source

LEFT_OUT = "left-out.csv"
PROGRESS_EVERY = 64  # items between two calls of `progress`

Progress = Callable[[int, int], None]  # (items done, items in total)
T = TypeVar("T")


@dataclass(frozen=True)
class Category:
    """A class of the export: a cluster that has items.

    Attributes:
        index: of the class, from 0.
        cluster: its number in the run.
        name: of the class, unlike any other's.
        folder: the name as a safe folder name, unlike any other's.
        size: items.
    """

    index: int
    cluster: int
    name: str
    folder: str
    size: int


@dataclass(frozen=True)
class Item:
    """An item that is exported.

    Attributes:
        row: its id in the run.
        path: as in the run.
        confidence: in [0, 1], rounded to four digits.
        category: its class.
        piece: of its file; None for a whole file.
    """

    row: int
    path: str
    confidence: float
    category: Category
    piece: Piece | None = None


class SkippedItems:
    """Counts the items that cannot be read, and lists them with the reason while the export runs.

    Args:
        file: the CSV to write; None only counts.
        columns: of the items' pieces.
    """

    def __init__(self, file: Path | None = None, columns: Sequence[str] = ()):
        self.count, self.first, self.columns = 0, "", columns
        self.file = file.open("w", encoding="utf-8", newline="") if file else None
        self.writer = csv_writer(self.file) if self.file else None
        if self.writer:
            self.writer.writerow(("path", *columns, "reason"))

    def write_row(self, path: str, reason: str, piece: Piece | None = None) -> None:
        """List an item without counting it."""
        if self.writer:
            self.writer.writerow((path, *piece_texts(piece, self.columns), reason))

    def add(self, path: str, reason: str, piece: Piece | None = None) -> None:
        """Count and list an item that cannot be read."""
        self.count += 1
        self.first = self.first or f"{path}: {reason}"
        self.write_row(path, reason, piece)

    def close(self) -> None:
        if self.file:
            self.file.close()


@dataclass(frozen=True)
class ExportContext:
    """A labelling to be exported.

    Attributes:
        run: the finished run.
        name: of the file or folder that is written.
        raw: whether edits are left aside.
        edits: those in the log when the export began; none where it is raw.
        paths: (N,) of the items.
        labels: (N,) int32; -1 for a rejected item.
        confidence: (N,) in [0, 1].
        categories: the classes.
        source: of the items' bytes.
        file_mode: "copy", "hard" (hard links) or "link" (symbolic links).
        skipped: the items that could not be read.
        progress: called with (items done, items in total).
    """

    run: Run
    name: str
    raw: bool
    edits: list[Edit]
    paths: Paths
    labels: np.ndarray
    confidence: np.ndarray
    categories: list[Category]
    source: Source
    file_mode: str
    skipped: SkippedItems
    progress: Progress

    @cached_property
    def category_of_label(self) -> np.ndarray:
        """(largest cluster + 2,) index of the category of a label. The last entry, which label -1 finds, is -1."""
        indices = np.full(max((c.cluster for c in self.categories), default=-1) + 2, -1, np.int32)
        indices[[c.cluster for c in self.categories]] = np.arange(len(self.categories))
        return indices

    @property
    def rows(self) -> np.ndarray:
        """Of the items that are not rejected, in ascending order."""
        return np.flatnonzero(self.labels >= 0)

    @cached_property
    def outliers(self) -> np.ndarray:
        """(N,) bool, items that fit no cluster and that no person has decided on."""
        found = self.run.outliers(edits=self.edits)
        return np.zeros(len(self.labels), bool) if found is None else found

    @property
    def pieces(self) -> Pieces | None:
        """(N,) the pieces of files that the items are; None for whole files."""
        return self.run.pieces

    @cached_property
    def piece_columns(self) -> list[str]:
        """The columns of the items' pieces; none for whole files."""
        return piece_columns(self.pieces)

    @cached_property
    def cutter(self) -> Cutter:
        """What cuts the items' pieces out of their files."""
        return Cutter(getattr(self.source, "scale", None))

    @cached_property
    def modalities(self) -> set[str]:
        """Those that the run was labelled by: "image", "video", "audio"."""
        return set(self.run.modalities)

    @property
    def class_names(self) -> list[str]:
        """The categories' names, by index."""
        return [c.name for c in self.categories]

    def items(self) -> Iterator[Item]:
        """The items that are not rejected, with progress."""
        return self.items_of(self.rows)

    @cached_property
    def rows_by_file(self) -> np.ndarray:
        """The same rows as `rows`; pieces of files in the order of the files and in these of their starts, so that a file is read
        once.
        """
        import pyarrow as pa

        rows, pieces = self.rows, self.pieces
        if pieces is None:
            return rows
        files = self.paths.column.take(pa.array(rows)).dictionary_encode().indices.to_numpy()
        return rows[np.lexsort((rows, np.nan_to_num(pieces.spans_s[rows, 0]), files))]

    def items_of(self, rows: np.ndarray) -> Iterator[Item]:
        """The items of some rows, in their order, with progress."""
        for done, row in enumerate(rows):
            if done % PROGRESS_EVERY == 0:
                self.progress(done, len(rows))
            yield self.item(int(row))
        self.progress(len(rows), len(rows))

    def item(self, row: int) -> Item:
        """One item by its row."""
        category = self.categories[self.category_of_label[self.labels[row]]]
        piece = None if self.pieces is None else self.pieces[row]
        return Item(row, self.paths[row], round(float(self.confidence[row]), 4), category, piece)

    def readable_items(self, read: Callable[[Item], T]) -> Iterator[tuple[Item, T]]:
        """The items with what `read` returns for each; those for which it raises Missing are skipped and listed."""
        for item in self.items_of(self.rows_by_file):
            try:
                result = read(item)
            except Missing as error:
                self.skip(item, error)
            else:
                yield item, result

    def skip(self, item: Item, reason: Missing) -> None:
        """List an item that cannot be read."""
        self.skipped.add(item.path, str(reason), item.piece)

    def readable_files(self, read: Callable[[Item], T]) -> Iterator[tuple[list[Item], T]]:
        """The items of each file together, with what `read` returns for the first of them; in a run of whole files every item is
        alone. Those for which it raises Missing, or whose file is not there, are skipped and listed.
        """
        for items in self.files():
            try:
                result = read(items[0])
            except Missing as error:
                for item in items:
                    self.skip(item, error)
            else:
                yield items, result

    def files(self) -> Iterator[list[Item]]:
        """The items of each file together; in a run of whole files every item is alone."""
        if self.pieces is None:
            yield from ([item] for item in self.items())
            return
        for _, items in groupby(self.items_of(self.rows_by_file), key=lambda item: item.path):
            yield from self.split_by_file(list(items))

    def split_by_file(self, items: list[Item]) -> list[list[Item]]:
        """Items of one path by the file that they are in; those whose file is not there are skipped."""
        by_file: dict[object, list[Item]] = {}
        for item in items:
            try:
                blobs = self.source.blobs(item.row)
            except Missing as error:
                self.skip(item, error)
            else:
                place = next((replace(blob, piece=None) for blob in blobs.values()), item.row)
                by_file.setdefault(place, []).append(item)
        return list(by_file.values())


def open_context(
    run: Run, name: str, raw: bool, file_mode: str, source: str | None, follow_links: bool, progress: Progress
) -> ExportContext:
    """Read a run for an export. The arguments are those of `export`.

    Raises:
        UserError: the run's files or its edits cannot be read.
    """
    table = run.raw_labels
    edits = [] if raw else run.edits()
    edited = None if raw else run.edited(table, edits)
    labels = run.labels_without_edits(table) if edited is None else edited.labels
    paths = Paths(table["path"].combine_chunks())
    return ExportContext(
        run=run,
        name=name,
        raw=raw,
        edits=edits,
        paths=paths,
        labels=labels,
        confidence=table["confidence"].to_numpy(),
        categories=categories_of(labels, {} if edited is None else edited.names),
        source=run.source(source, follow_links, paths).source,
        file_mode=file_mode,
        skipped=SkippedItems(),
        progress=progress,
    )


def categories_of(labels: np.ndarray, names: dict[int, str]) -> list[Category]:
    """The clusters that have items, as classes, in the order of their numbers.

    Args:
        labels: (N,) integers; -1 for a rejected item.
        names: cluster to its name, of those that have one.
    """
    clusters, sizes = np.unique(labels[labels >= 0], return_counts=True)
    class_names = unique_names({int(c): names.get(int(c), "") for c in clusters})
    folders = safe_names(class_names)
    return [Category(i, int(c), class_names[int(c)], folders[int(c)], int(n)) for i, (c, n) in enumerate(zip(clusters, sizes))]
