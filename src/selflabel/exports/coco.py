"""coco: images/ and annotations/instances_default.json, in which one annotation an image covers the whole of it.

Image ids are the run's; category ids begin at 1, because 0 is the background to many readers.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path

from selflabel.exports.context import ExportContext
from selflabel.exports.item_files import save_picture
from selflabel.exports.json_lists import write_list


def write(context: ExportContext, folder: Path) -> None:
    """Write images/ and the annotations."""
    shapes = array("q")  # row, width and height of every image, one after the other
    (folder / "annotations").mkdir()
    with (folder / "annotations" / "instances_default.json").open("w", encoding="utf-8") as out:
        info = {"description": f"selflabel: {context.run.folder.name}", "version": "1.0"}
        categories = [{"id": c.index + 1, "name": c.name, "supercategory": ""} for c in context.categories]
        out.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": ')
        write_list(out, categories)
        out.write(',\n"images": ')
        write_list(out, images(context, folder / "images", shapes))
        out.write(',\n"annotations": ')
        write_list(out, whole_image_annotations(context, shapes))
        out.write("}\n")


def images(context: ExportContext, folder: Path, shapes: array) -> Iterator[dict]:
    """Each image's entry; its file is written into the folder, and its shape added to `shapes`."""
    for item, (file, (width, height)) in context.readable_items(lambda i: save_picture(context, i, folder)):
        shapes.extend((item.row, width, height))
        yield {"id": item.row, "file_name": file.name, "width": width, "height": height}


def whole_image_annotations(context: ExportContext, shapes: array) -> Iterator[dict]:
    """Each image's annotation, the box and polygon of the whole image."""
    for i in range(0, len(shapes), 3):
        row, w, h = shapes[i : i + 3]
        item = context.item(row)
        yield {
            "id": row + 1,
            "image_id": row,
            "category_id": item.category.index + 1,
            "bbox": [0, 0, w, h],
            "area": w * h,
            "segmentation": [[0, 0, w, 0, w, h, 0, h]],
            "iscrowd": 0,
            "score": item.confidence,
        }
