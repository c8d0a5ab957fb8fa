"""TAKE THE LABELS AWAY: one small file a format. EXPORTS is the only list of them."""

from __future__ import annotations

from selflabel.exports import (
    cleanlab,
    coco,
    csv_file,
    cvat,
    fiftyone,
    folders,
    html,
    imagefolder,
    label_studio,
    parquet,
    webdataset,
    yolo,
)
from selflabel.exports.base import Format
from selflabel.exports.frame import Exported, default_place, export, kind_of_items

EXPORTS: dict[str, Format] = {
    "csv": csv_file.FORMAT,
    "folders": folders.FORMAT,
    "parquet": parquet.FORMAT,
    "html": html.FORMAT,
    "imagefolder": imagefolder.FORMAT,
    "webdataset": webdataset.FORMAT,
    "coco": coco.FORMAT,
    "yolo": yolo.FORMAT,
    "label-studio": label_studio.FORMAT,
    "fiftyone": fiftyone.FORMAT,
    "cleanlab": cleanlab.FORMAT,
    "cvat": cvat.FORMAT,
}

__all__ = ["EXPORTS", "Exported", "Format", "default_place", "export", "kind_of_items"]
