"""folders: a folder a class, the items' own files in it; read by whatever takes class folders."""

from __future__ import annotations

import csv
from pathlib import Path

from selflabel.exports.base import FILES, Format, Taken
from selflabel.exports.csv_file import COLUMNS, cells
from selflabel.exports.media import place
from selflabel.runs.sources import Missing


def write(taken: Taken, folder: Path) -> None:
    """Class folders, and labels.csv that says which file was which item."""
    for category in taken.categories:
        (folder / category.folder).mkdir()
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*COLUMNS, "file"])
        for item in taken.items():
            try:
                file = place(taken, item, folder / item.category.folder, only_main=False)
            except Missing as gone:
                taken.left_out.add(item.path, str(gone))
            else:
                writer.writerow([*cells(item), file.relative_to(folder).as_posix()])


FORMAT = Format(
    what="a folder a class with the items' files",
    reads="torchvision's ImageFolder, Keras, fastai, a file manager",
    write=write,
    takes=FILES,
    links=True,
)
