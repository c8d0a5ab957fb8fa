"""cvat: "CVAT for images 1.1": annotations.xml with a tag an image, and the images."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from selflabel.exports.base import Format, Item, Taken
from selflabel.exports.media import contents, place, size_of
from selflabel.runs.sources import Missing


def write(taken: Taken, folder: Path) -> None:
    with (folder / "annotations.xml").open("w", encoding="utf-8") as out:
        out.write(head(taken))
        for item in taken.items():
            try:
                found = contents(taken, item)
                size = size_of(next(iter(found.values())))
                file = place(taken, item, folder / "images", found=found)
            except Missing as gone:
                taken.left_out.add(item.path, str(gone))
            else:
                write_image(out, item, file.name, size)
        out.write("</annotations>\n")


def head(taken: Taken) -> str:
    labels = "\n".join(f"        <label><name>{escape(name)}</name><type>tag</type><attributes/></label>" for name in taken.names)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <name>{escape(taken.run.folder.resolve().name)}</name>\n      <labels>\n{labels}\n      </labels>\n"
        "    </task>\n  </meta>\n"
    )


def write_image(out: TextIO, item: Item, name: str, size: tuple[int, int]) -> None:
    width, height = size
    out.write(
        f'  <image id="{item.row}" name={quoteattr(name)} width="{width}" height="{height}">\n'
        f'    <tag label={quoteattr(item.category.name)} source="auto"/>\n  </image>\n'
    )


FORMAT = Format(
    what="annotations.xml with a tag an image, and the images",
    reads="CVAT (CVAT for images 1.1), Datumaro",
    write=write,
    takes=("image",),
    links=True,
)
