"""imagefolder: Hugging Face's folder of files with a metadata.csv; of sounds it is an audiofolder, of films a videofolder.

Everything lies in train/, because a class or a file whose name has "test" in it would otherwise become a split of that name.
"""

from __future__ import annotations

import csv
from pathlib import Path

from selflabel.exports.base import FILES, Format, Taken
from selflabel.exports.media import place
from selflabel.runs.sources import Missing

COLUMNS = ["file_name", "label", "cluster", "confidence", "path"]


def write(taken: Taken, folder: Path) -> None:
    split = folder / "train"
    split.mkdir()
    with (split / "metadata.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for item in taken.items():
            try:
                file = place(taken, item, split)
            except Missing as gone:
                taken.left_out.add(item.path, str(gone))
            else:
                writer.writerow([file.name, item.category.name, item.category.cluster, item.confidence, item.path])


FORMAT = Format(
    what="files with a metadata.csv",
    reads='Hugging Face datasets: load_dataset("imagefolder", data_dir=...)',
    write=write,
    takes=FILES,
    links=True,
)
