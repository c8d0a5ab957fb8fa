"""yolo: class folders below train/ and val/, as Ultralytics reads for classification.

Of every class each tenth item is for validation. A class with fewer than ten items has its last one there, a class of one item
none. Of pieces it is each tenth file with all its pieces, so that no picture is on both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import save_item
from selflabel.items.endings import IMAGE_ENDINGS

EVERY = 10  # one item in so many is for validation
READ_BY_ULTRALYTICS = {".bmp", ".jpeg", ".jpg", ".mpo", ".pfm", ".png", ".tif", ".tiff", ".webp"}  # by all its versions
UNREADABLE_ENDINGS = ("", *sorted(IMAGE_ENDINGS - READ_BY_ULTRALYTICS))


def write(context: ExportContext, folder: Path) -> dict[str, Any]:
    """Write the folders of both splits. Returns the class folders in the order of Ultralytics' class numbers."""
    for split in ("train", "val"):
        for category in context.categories:
            (folder / split / category.folder).mkdir(parents=True)
    is_validation = validation_rows(context)

    def save(item: Item) -> Path:
        split = "val" if is_validation[item.row] else "train"
        return save_item(context, item, folder / split / item.category.folder, convert_to_png=UNREADABLE_ENDINGS)

    for _ in context.readable_items(save):
        pass
    return {"names": sorted(category.folder for category in context.categories)}


def validation_rows(context: ExportContext) -> np.ndarray:
    """(N,) whether a row is for validation. Pieces of one file are on one side."""
    if context.pieces is not None:
        return validation_files(context)
    is_validation = np.zeros(len(context.labels), bool)
    for category in context.categories:
        rows = np.flatnonzero(context.labels == category.cluster)
        is_validation[for_validation(rows)] = True
    return is_validation


def validation_files(context: ExportContext) -> np.ndarray:
    """(N,) whether a row is a piece of a file that is for validation."""
    import pyarrow as pa

    rows = context.rows
    files = context.paths.column.take(pa.array(rows)).dictionary_encode().indices.to_numpy()
    is_validation = np.zeros(len(context.labels), bool)
    is_validation[rows] = np.isin(files, for_validation(np.unique(files)))
    return is_validation


def for_validation(things: np.ndarray) -> np.ndarray:
    """Each tenth of some things; of fewer than ten the last one, of a single one none."""
    return things[EVERY - 1 :: EVERY] if len(things) >= EVERY else things[1:][-1:]
