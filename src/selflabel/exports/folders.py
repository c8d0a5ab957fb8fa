"""folders: a folder per class, the items' own files in it, or what is cut out of them; read by whatever takes class folders."""

from __future__ import annotations

from pathlib import Path

from selflabel.base.csv_writer import csv_writer
from selflabel.exports.context import ExportContext
from selflabel.exports.csv_file import cells, columns
from selflabel.exports.item_files import save_item


def write(context: ExportContext, folder: Path) -> None:
    """Write class folders, and labels.csv with the file of every item."""
    for category in context.categories:
        (folder / category.folder).mkdir()
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv_writer(out)
        writer.writerow([*columns(context), "file"])
        saved = context.readable_items(lambda i: save_item(context, i, folder / i.category.folder, only_main=False))
        for item, file in saved:
            writer.writerow([*cells(context, item), file.relative_to(folder).as_posix()])
