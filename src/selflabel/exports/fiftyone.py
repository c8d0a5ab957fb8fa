"""fiftyone: a FiftyOneImageClassificationDataset: data/ with the images and labels.json with a class and a confidence each.

An image is known by its file's name without the ending, so names begin with the item's id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from selflabel.exports.context import ExportContext
from selflabel.exports.item_files import item_stem, save_item
from selflabel.exports.json_lists import write_object


def write(context: ExportContext, folder: Path) -> None:
    """Write data/ and labels.json."""
    with (folder / "labels.json").open("w", encoding="utf-8") as out:
        out.write(f'{{"classes": {json.dumps(context.class_names, ensure_ascii=False)},\n"labels": ')
        write_object(out, labels(context, folder / "data"))
        out.write("}\n")


def labels(context: ExportContext, folder: Path) -> Iterator[tuple[str, dict]]:
    """Each image's name and label; its file is written into the folder."""
    saved = context.readable_items(lambda i: save_item(context, i, folder, stem=f"{i.row:06d}-{item_stem(i)}"))
    for item, file in saved:
        attributes = {"cluster": item.category.cluster, "path": item.path}
        yield file.stem, {"label": item.category.index, "confidence": item.confidence, "attributes": attributes}
