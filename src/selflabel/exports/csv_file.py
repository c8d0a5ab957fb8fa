"""csv: a line per item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selflabel.base.cells import plain_cell
from selflabel.base.csv_writer import csv_writer
from selflabel.exports.context import ExportContext, Item

COLUMNS = ["id", "path", "label", "confidence", "name"]


def write(context: ExportContext, file: Path) -> None:
    """Write the columns of the run's own labels.csv, and the name of the class."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv_writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(cells(item) for item in context.items())


def cells(item: Item) -> list[Any]:
    """An item's line, in the order of COLUMNS."""
    return [item.row, item.path, item.category.cluster, f"{item.confidence:.4f}", plain_cell(item.category.name)]
