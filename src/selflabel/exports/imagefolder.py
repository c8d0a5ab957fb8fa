"""imagefolder: Hugging Face's folder of files with a metadata.csv; of sounds it is an audiofolder, of videos a videofolder.

Everything lies in train/, because a class or a file whose name has "test" in it would otherwise become a split of that name.
"""

from __future__ import annotations

from pathlib import Path

from selflabel.base.csv_writer import csv_writer
from selflabel.exports.context import ExportContext
from selflabel.exports.item_files import save_item
from selflabel.exports.piece_columns import piece_texts

COLUMNS = ["file_name", "label", "cluster", "confidence", "path"]


def write(context: ExportContext, folder: Path) -> None:
    """Write train/ with the files and metadata.csv."""
    split = folder / "train"
    split.mkdir()
    with (split / "metadata.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv_writer(out)
        writer.writerow([*COLUMNS, *context.piece_columns])
        for item, file in context.readable_items(lambda i: save_item(context, i, split)):
            piece = piece_texts(item.piece, context.piece_columns)
            writer.writerow([file.name, item.category.name, item.category.cluster, item.confidence, item.path, *piece])
