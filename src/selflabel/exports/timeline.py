"""Recordings with the regions of their items: windows of one class that touch or overlap are one region.

An hour in windows of three seconds has 1,200 of them: as labels over one another nobody can read them. A row for each window is
in the csv and parquet formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from selflabel.base.csv_writer import csv_writer
from selflabel.decode.sound import rate_and_seconds
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import file_stem, unused_path
from selflabel.runs.missing import Missing

CLOSE_S = 0.001  # windows that are so far apart touch
INDEX = "recordings.csv"


@dataclass(frozen=True)
class Region:
    """A stretch of a recording.

    Attributes:
        start_s, end_s: in seconds.
        name: of its class.
        confidence: mean of its items', in [0, 1].
    """

    start_s: float
    end_s: float
    name: str
    confidence: float


@dataclass(frozen=True)
class Recording:
    """A recording.

    Attributes:
        path: as in the run.
        rate: in Hz.
        regions: by their starts.
        file: where its table is written; its name is the recording's.
    """

    path: str
    rate: int
    regions: list[Region]
    file: Path


def recordings(context: ExportContext, folder: Path, ending: str) -> Iterator[Recording]:
    """Every recording with its regions; recordings.csv says which file of `folder`, of this ending, is whose."""
    with (folder / INDEX).open("w", encoding="utf-8", newline="") as out:
        writer = csv_writer(out)
        writer.writerow(["file", "path"])
        for items, (rate, seconds) in context.readable_files(lambda item: measured(context, item)):
            first = items[0]
            file = unused_path(folder, file_stem(first), first.row, ending)
            writer.writerow([file.name, first.path])
            yield Recording(first.path, rate, joined(spans(items, seconds)), file)


def measured(context: ExportContext, item: Item) -> tuple[int, float]:
    """Rate in Hz and length in seconds of the recording that an item is, or is a piece of. Raises Missing."""
    blob = context.source.blobs(item.row).get("audio")
    found = None if blob is None else rate_and_seconds(replace(blob, piece=None))
    if found is None:
        raise Missing("has no sound that can be read")
    return found


def spans(items: Iterable[Item], seconds: float) -> Iterator[Region]:
    """Each item as a region, a whole recording as one of its length in seconds."""
    for item in items:
        start, end = (item.piece and item.piece.span_s) or (0.0, seconds)
        yield Region(start, end, item.category.name, item.confidence)


def joined(regions: Iterable[Region]) -> list[Region]:
    """Regions, of which those of one class that touch or overlap are one; by their starts.

    Example:
        >>> joined([Region(0, 3, "wren", 0.5), Region(3, 6, "wren", 1.0), Region(7, 9, "wren", 0.25)])
        [Region(start_s=0, end_s=6, name='wren', confidence=0.75), Region(start_s=7, end_s=9, name='wren', confidence=0.25)]
    """
    groups: list[list[Region]] = []
    last: dict[str, tuple[list[Region], float]] = {}  # class to its latest group and where that ends
    for region in sorted(regions, key=lambda r: (r.start_s, r.end_s)):
        group, end = last.get(region.name, ([], -np.inf))
        if region.start_s > end + CLOSE_S:
            group = []
            groups.append(group)
        group.append(region)
        last[region.name] = group, max(region.end_s, end)
    return [replace(g[0], end_s=max(r.end_s for r in g), confidence=mean_confidence(g)) for g in groups]


def mean_confidence(regions: list[Region]) -> float:
    return round(sum(region.confidence for region in regions) / len(regions), 4)


def one_line(name: str) -> str:
    """A class name as a cell between tabs: quotation marks and line breaks would end it for some readers.

    Example:
        >>> one_line('a\\t"b"')
        "a 'b'"
    """
    return " ".join(name.replace('"', "'").split())
