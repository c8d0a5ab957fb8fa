"""yolo: class folders below train/ and val/, as Ultralytics reads for classification.

Of every class each tenth item is for validation. A class with fewer than ten items has its last one there, a class of one item
none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selflabel.exports.base import Format, Taken
from selflabel.exports.media import place
from selflabel.runs.sources import Missing

EVERY = 10  # one item in so many is for validation


def write(taken: Taken, folder: Path) -> dict:
    for split in ("train", "val"):
        for category in taken.categories:
            (folder / split / category.folder).mkdir(parents=True)
    held_out = held_out_rows(taken)
    for item in taken.items():
        split = "val" if held_out[item.row] else "train"
        try:
            place(taken, item, folder / split / item.category.folder, png_for=(".gif", ""))
        except Missing as gone:
            taken.left_out.add(item.path, str(gone))
    return {"names": sorted(category.folder for category in taken.categories)}


def held_out_rows(taken: Taken) -> np.ndarray:
    """(N,) whether a row is for validation."""
    held = np.zeros(len(taken.labels), bool)
    for category in taken.categories:
        rows = np.flatnonzero(taken.labels == category.cluster)
        held[rows[EVERY - 1 :: EVERY] if len(rows) >= EVERY else rows[1:][-1:]] = True
    return held


FORMAT = Format(
    what="train/ and val/ with class folders",
    reads="Ultralytics: yolo classify train data=...",
    write=write,
    takes=("image",),
    links=True,
)
