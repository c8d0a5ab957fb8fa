"""cvat: "CVAT for images 1.1": annotations.xml and the images, with a box or mask an item, or a tag for each whole image."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from selflabel.base.rle import Rle
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.item_files import pictures_with_items, save_picture


def write(context: ExportContext, folder: Path) -> None:
    """Write images/ and annotations.xml."""
    with (folder / "annotations.xml").open("w", encoding="utf-8") as out:
        out.write(head(context))
        for items, file, (width, height) in pictures_with_items(context, lambda i: save_picture(context, i, folder / "images")):
            name = quoteattr(file.name)
            out.write(f'  <image id="{items[0].row}" name={name} width="{width}" height="{height}">\n')
            out.writelines(f"    {element(item)}\n" for item in items)
            out.write("  </image>\n")
        out.write("</annotations>\n")


def head(context: ExportContext) -> str:
    """The beginning of the file: the task with its labels."""
    kind = "tag" if context.pieces is None else "any"
    labels = "\n".join(
        f"        <label><name>{escape(name)}</name><type>{kind}</type><attributes/></label>" for name in context.class_names
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n'
        f"      <name>{escape(context.run.folder.resolve().name)}</name>\n      <labels>\n{labels}\n      </labels>\n"
        "    </task>\n  </meta>\n"
    )


def element(item: Item) -> str:
    """An item's element: a mask, a box, or a tag of the whole image."""
    label = f'label={quoteattr(item.category.name)} source="auto"'
    piece = item.piece
    if piece is None or piece.box is None:
        return f"<tag {label}/>"
    if piece.mask is not None and piece.mask.area:
        return f'<mask {label} occluded="0" {mask_attributes(piece.mask)} z_order="0"/>'
    sides = " ".join(f'{name}="{value:.2f}"' for name, value in zip(("xtl", "ytl", "xbr", "ybr"), piece.box))
    return f'<box {label} occluded="0" {sides} z_order="0"/>'


def mask_attributes(mask: Rle) -> str:
    """A mask's box, and in it the run lengths row by row, the first of pixels outside."""
    x0, y0, x1, y1 = mask.box
    inside = mask.decode()[y0:y1, x0:x1].reshape(-1)
    edges = np.flatnonzero(np.diff(inside, prepend=False))
    runs = np.diff(edges, prepend=0, append=len(inside)).tolist()
    return f'rle="{", ".join(map(str, runs))}" left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}"'
