"""csv: a line per item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from selflabel.base.cells import plain_cell
from selflabel.base.csv_writer import csv_writer
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.piece_columns import piece_texts

BEFORE, AFTER = ["id", "path"], ["label", "confidence", "name"]  # the columns of an item's piece are between them


def write(context: ExportContext, file: Path) -> None:
    """Write the columns of the run's own labels.csv, and the name of the class."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv_writer(out)
        writer.writerow(columns(context))
        writer.writerows(cells(context, item) for item in context.items())


def columns(context: ExportContext) -> list[str]:
    """The names of the columns."""
    return [*BEFORE, *context.piece_columns, *AFTER]


def cells(context: ExportContext, item: Item) -> list[Any]:
    """An item's line, in the order of `columns`."""
    piece = piece_texts(item.piece, context.piece_columns)
    return [item.row, item.path, *piece, item.category.cluster, f"{item.confidence:.4f}", plain_cell(item.category.name)]
