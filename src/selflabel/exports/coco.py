"""coco: images/ and annotations/instances_default.json.

An item that is a box, perhaps with a mask, is an annotation of its picture, which is there once. An item that is a whole picture
has one annotation that covers it. Image ids are the run's, of pictures with several items that of the first; category ids begin
at 1, because 0 is the background to many readers.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import pictures_with_items, save_picture
from selflabel.exports.json_lists import write_list

DIGITS = 3  # after the point, of pixels


def write(context: ExportContext, folder: Path) -> None:
    """Write images/ and the annotations."""
    annotated = array("q")  # of each item its row, and its image's row, width and height, one after the other
    (folder / "annotations").mkdir()
    with (folder / "annotations" / "instances_default.json").open("w", encoding="utf-8") as out:
        info = {"description": f"selflabel: {context.run.folder.name}", "version": "1.0"}
        categories = [{"id": c.index + 1, "name": c.name, "supercategory": ""} for c in context.categories]
        out.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": ')
        write_list(out, categories)
        out.write(',\n"images": ')
        write_list(out, images(context, folder / "images", annotated))
        out.write(',\n"annotations": ')
        write_list(out, item_annotations(context, annotated))
        out.write("}\n")


def images(context: ExportContext, folder: Path, annotated: array) -> Iterator[dict]:
    """Each image's entry; its file is written into the folder, and its items are added to `annotated`."""
    for items, file, (width, height) in pictures_with_items(context, lambda i: save_picture(context, i, folder)):
        for item in items:
            annotated.extend((item.row, items[0].row, width, height))
        yield {"id": items[0].row, "file_name": file.name, "width": width, "height": height}


def item_annotations(context: ExportContext, annotated: array) -> Iterator[dict]:
    """Each item's annotation."""
    for i in range(0, len(annotated), 4):
        row, image, width, height = annotated[i : i + 4]
        item = context.item(row)
        yield {
            "id": row + 1,
            "image_id": image,
            "category_id": item.category.index + 1,
            **geometry(item, width, height, context.pieces is not None),
            "iscrowd": 0,
            "score": item.confidence,
        }


def geometry(item: Item, width: int, height: int, has_pieces: bool) -> dict[str, Any]:
    """An annotation's box, area and segmentation: the run lengths of a mask, nothing of a box, and in a run of whole pictures
    their rectangles.
    """
    piece = item.piece
    if piece is None or piece.box is None:
        outline = [] if has_pieces else [[0, 0, width, 0, width, height, 0, height]]
        return {"bbox": [0, 0, width, height], "area": width * height, "segmentation": outline}
    x0, y0, x1, y1 = piece.box
    box = [round(value, DIGITS) for value in (x0, y0, x1 - x0, y1 - y0)]
    if piece.mask is None:
        return {"bbox": box, "area": round(box[2] * box[3], DIGITS), "segmentation": []}
    mask = piece.mask
    return {
        "bbox": box,
        "area": mask.area,
        "segmentation": {"size": [mask.height, mask.width], "counts": mask.counts.decode("ascii")},
    }
