"""fiftyone: a FiftyOneImageClassificationDataset: data/ with the images and labels.json with a class and a confidence each.

An image is known by its file's name without the ending, so ids are in front of the names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from selflabel.exports.base import Format, Taken
from selflabel.exports.json_lists import write_object
from selflabel.exports.media import place, stem_of
from selflabel.runs.sources import Missing


def write(taken: Taken, folder: Path) -> None:
    with (folder / "labels.json").open("w", encoding="utf-8") as out:
        out.write(f'{{"classes": {json.dumps(taken.names, ensure_ascii=False)},\n"labels": ')
        write_object(out, labels(taken, folder / "data"))
        out.write("}\n")


def labels(taken: Taken, folder: Path) -> Iterator[tuple[str, dict]]:
    for item in taken.items():
        try:
            file = place(taken, item, folder, stem=f"{item.row:06d}-{stem_of(item)}")
        except Missing as gone:
            taken.left_out.add(item.path, str(gone))
        else:
            attributes = {"cluster": item.category.cluster, "path": item.path}
            yield file.stem, {"label": item.category.index, "confidence": item.confidence, "attributes": attributes}


FORMAT = Format(
    what="data/ and labels.json",
    reads="FiftyOne: FiftyOneImageClassificationDataset",
    write=write,
    takes=("image",),
    links=True,
)
