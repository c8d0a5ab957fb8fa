"""csv: a line an item."""

from __future__ import annotations

import csv
from pathlib import Path

from selflabel.exports.base import Format, Item, Taken

COLUMNS = ["id", "path", "label", "confidence", "name"]


def write(taken: Taken, file: Path) -> None:
    """The columns of the run's own labels.csv, and the name of the class."""
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(cells(item) for item in taken.items())


def cells(item: Item) -> list:
    return [item.row, item.path, item.category.cluster, f"{item.confidence:.4f}", item.category.name]


FORMAT = Format(
    what="a line an item: id, path, label, confidence, name",
    reads="anything",
    write=write,
    ending=".csv",
    wants_source=False,
)
