"""cvat: "CVAT for images 1.1": annotations.xml with a tag per image, and the images."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import save_picture


def write(context: ExportContext, folder: Path) -> None:
    """Write images/ and annotations.xml."""
    with (folder / "annotations.xml").open("w", encoding="utf-8") as out:
        out.write(head(context))
        for item, (file, size) in context.readable_items(lambda i: save_picture(context, i, folder / "images")):
            write_image(out, item, file.name, size)
        out.write("</annotations>\n")


def head(context: ExportContext) -> str:
    """The beginning of the file: the task with its labels."""
    labels = "\n".join(
        f"        <label><name>{escape(name)}</name><type>tag</type><attributes/></label>" for name in context.class_names
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <name>{escape(context.run.folder.resolve().name)}</name>\n      <labels>\n{labels}\n      </labels>\n"
        "    </task>\n  </meta>\n"
    )


def write_image(out: TextIO, item: Item, name: str, size: tuple[int, int]) -> None:
    width, height = size
    out.write(
        f'  <image id="{item.row}" name={quoteattr(name)} width="{width}" height="{height}">\n'
        f'    <tag label={quoteattr(item.category.name)} source="auto"/>\n  </image>\n'
    )
