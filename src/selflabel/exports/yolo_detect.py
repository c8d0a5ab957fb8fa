"""yolo-detect: images/, labels/ and data.yaml, as Ultralytics reads for detection.

Every tenth file is for validation, of fewer than ten the last one: no picture is on both sides. A label's file has the name of
its picture, with a line a box: class, and middle, width and height as fractions of the picture.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import file_stem, pictures_with_items, save_picture
from selflabel.exports.piece_columns import relative_box
from selflabel.exports.yolo import UNREADABLE_ENDINGS, validation_files

SPLITS = ("train", "val")


def write(context: ExportContext, folder: Path) -> None:
    """Write the pictures and labels of both splits, and data.yaml."""
    for kind in ("images", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True)
    is_validation = validation_files(context)

    def save(item: Item) -> tuple[Path, tuple[int, int]]:
        split = SPLITS[int(is_validation[item.row])]
        stem = unused_stem(folder / "labels" / split, item)
        return save_picture(context, item, folder / "images" / split, stem, UNREADABLE_ENDINGS)

    for items, file, size in pictures_with_items(context, save):
        lines = [label_line(item, size) for item in items]
        (folder / "labels" / file.parent.name / f"{file.stem}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "data.yaml").write_text(data_yaml(context.class_names), encoding="utf-8")


def unused_stem(labels: Path, item: Item) -> str:
    """A name that no picture has yet, whatever its ending: a.jpg and a.png would have the same labels."""
    stem = file_stem(item)
    while os.path.lexists(labels / f"{stem}.txt"):
        stem = f"{stem}-{item.row:06d}"
    return stem


def label_line(item: Item, size: tuple[int, int]) -> str:
    """An item's line: its class and box."""
    x, y, width, height = relative_box(item.piece, size)
    return f"{item.category.index} {x + width / 2:.6f} {y + height / 2:.6f} {width:.6f} {height:.6f}"


def data_yaml(class_names: list[str]) -> str:
    """The file that Ultralytics is given; without `path` its folder is that of the set. A name as JSON is one as YAML."""
    names = "".join(f"  {i}: {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(class_names))
    return f"train: images/train\nval: images/val\nnames:\n{names}"
