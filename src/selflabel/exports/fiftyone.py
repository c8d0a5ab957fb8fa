"""fiftyone: data/ with the images and labels.json, of boxes a FiftyOneImageDetectionDataset, of whole images a
FiftyOneImageClassificationDataset.

An image is known by its file's name without the ending, so names begin with the id of its first item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import file_stem, pictures_with_items, save_item, save_picture
from selflabel.exports.json_lists import write_object
from selflabel.exports.piece_columns import relative_box


def write(context: ExportContext, folder: Path) -> None:
    """Write data/ and labels.json."""
    entries = classifications if context.pieces is None else detections
    with (folder / "labels.json").open("w", encoding="utf-8") as out:
        out.write(f'{{"classes": {json.dumps(context.class_names, ensure_ascii=False)},\n"labels": ')
        write_object(out, entries(context, folder / "data"))
        out.write("}\n")


def classifications(context: ExportContext, folder: Path) -> Iterator[tuple[str, dict]]:
    """Each image's name and label; its file is written into the folder."""
    for item, file in context.readable_items(lambda i: save_item(context, i, folder, stem=numbered_stem(i))):
        yield file.stem, label(item)


def detections(context: ExportContext, folder: Path) -> Iterator[tuple[str, list[dict]]]:
    """Each image's name and its boxes with their labels; its file is written into the folder."""

    def save(item: Item) -> tuple[Path, tuple[int, int]]:
        return save_picture(context, item, folder, numbered_stem(item))

    for items, file, size in pictures_with_items(context, save):
        yield file.stem, [detection(item, size) for item in items]


def numbered_stem(item: Item) -> str:
    return f"{item.row:06d}-{file_stem(item)}"


def label(item: Item) -> dict[str, Any]:
    """The class, confidence and attributes of an item."""
    attributes = {"cluster": item.category.cluster, "path": item.path}
    return {"label": item.category.index, "confidence": item.confidence, "attributes": attributes}


def detection(item: Item, size: tuple[int, int]) -> dict[str, Any]:
    """An item as a box in a picture of a size (width, height)."""
    entry = label(item)
    return entry | {"bounding_box": relative_box(item.piece, size), "attributes": entry["attributes"] | {"item": item.row}}
