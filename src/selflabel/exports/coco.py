"""coco: images/ and annotations/instances_default.json, in which one annotation an image covers the whole of it.

Image ids are the run's; category ids begin at 1, because 0 is the background to many readers.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path

from selflabel.exports.base import Format, Taken
from selflabel.exports.json_lists import write_list
from selflabel.exports.media import contents, place, size_of
from selflabel.runs.sources import Missing


def write(taken: Taken, folder: Path) -> None:
    kept = array("q")  # row, width, height of every image written
    (folder / "annotations").mkdir()
    with (folder / "annotations" / "instances_default.json").open("w", encoding="utf-8") as out:
        info = {"description": f"selflabel: {taken.run.folder.name}", "version": "1.0"}
        categories = [{"id": c.index + 1, "name": c.name, "supercategory": ""} for c in taken.categories]
        out.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": ')
        write_list(out, categories)
        out.write(',\n"images": ')
        write_list(out, images(taken, folder / "images", kept))
        out.write(',\n"annotations": ')
        write_list(out, covers(taken, kept))
        out.write("}\n")


def images(taken: Taken, folder: Path, kept: array) -> Iterator[dict]:
    for item in taken.items():
        try:
            found = contents(taken, item)
            width, height = size_of(next(iter(found.values())))
            file = place(taken, item, folder, found=found)
        except Missing as gone:
            taken.left_out.add(item.path, str(gone))
        else:
            kept.extend((item.row, width, height))
            yield {"id": item.row, "file_name": file.name, "width": width, "height": height}


def covers(taken: Taken, kept: array) -> Iterator[dict]:
    for i in range(0, len(kept), 3):
        row, w, h = kept[i : i + 3]
        item = taken.item(row)
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


FORMAT = Format(
    what="images/ and annotations/instances_default.json; an annotation covers its image",
    reads="pycocotools, Detectron2, MMDetection, CVAT, Datumaro",
    write=write,
    takes=("image",),
    links=True,
)
