"""An item's own files in an export: copied, hard-linked or linked, each under a name of its own.

Reading may fail (a file is gone: the item is left out), writing may fail (the disk is full: the export ends).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from selflabel.base.errors import UserError
from selflabel.exports.contents import (
    Content,
    image_size,
    item_contents,
    read_bytes,
    read_chunks,
    upright_picture,
    whole_content,
)
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.cut_pictures import check_size
from selflabel.exports.names import safe_name, truncate
from selflabel.exports.piece_columns import piece_suffix
from selflabel.items import Blob
from selflabel.runs.missing import Missing

MAX_STEM = 100  # bytes
NO_HARD_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


def save_item(
    context: ExportContext,
    item: Item,
    folder: Path,
    stem: str = "",
    only_main: bool = True,
    convert_to_png: tuple[str, ...] = (),
    contents: dict[str, Content] | None = None,
) -> Path:
    """Write an item's file into a folder, under its own name where no other item has it.

    Args:
        context: the export, which says whether to copy or to link.
        item: the item.
        folder: where to; made where it is not there.
        stem: the file's name without its ending; by the item's path where it is left out.
        only_main: leave out a sound that lies beside the item.
        convert_to_png: endings of pictures that the format's readers do not know.
        contents: the item's contents, where they were read before.

    Returns:
        The path of the first file.

    Raises:
        Missing: the item is not there or cannot be read; nothing is left of it in the folder.
        UserError: the file system has no hard links.
    """
    files = list((contents or item_contents(context, item)).items())
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for ending, content in files[: 1 if only_main else None]:
            as_png = ending in convert_to_png
            name = written[0].stem if written else stem or item_stem(item)
            file = unused_path(folder, name, item.row, ".png" if as_png else ending)
            written.append(file)
            write_content(content, file, context.file_mode, as_png)
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return written[0]


def save_picture(
    context: ExportContext, item: Item, folder: Path, stem: str = "", convert_to_png: tuple[str, ...] = ()
) -> tuple[Path, tuple[int, int]]:
    """Write the picture that an item is, or is a piece of, into a folder as `save_item` does; the path, and (width, height).

    In a run of pieces a picture that its EXIF turns is written upright, as boxes are; other files stay as they are.

    Raises:
        Missing: the item is not there, or is no picture.
        UserError: the file system has no hard links.
    """
    ending, whole = whole_content(context, item)
    contents: dict[str, Content] = {ending: whole}
    if context.pieces is None:
        size = image_size(whole)
    else:
        size, new_ending, turned = upright_picture(whole)
        contents = {new_ending: turned} if turned else contents
    return save_item(context, item, folder, stem or file_stem(item), convert_to_png=convert_to_png, contents=contents), size


def pictures_with_items(
    context: ExportContext, save: Callable[[Item], tuple[Path, tuple[int, int]]]
) -> Iterator[tuple[list[Item], Path, tuple[int, int]]]:
    """Every picture with its items: the items, its file, and (width, height) in pixels.

    Args:
        context: the export.
        save: writes the file of an item, as `save_picture` does.
    """
    for items, (file, size) in context.readable_files(save):
        able = able_items(context, items, size)
        if able:
            yield able, file, size
        else:
            file.unlink()


def able_items(context: ExportContext, items: list[Item], size: tuple[int, int]) -> list[Item]:
    """Items of a picture of a size (width, height), without those whose box is in one of another size, or whose mask is damaged:
    these are skipped and listed.
    """
    able = []
    for item in items:
        try:
            check_piece(item, size)
        except Missing as error:
            context.skip(item, error)
        else:
            able.append(item)
    return able


def check_piece(item: Item, size: tuple[int, int]) -> None:
    """Raise Missing where an item's box or mask does not fit a picture of a size (width, height)."""
    if item.piece is None:
        return
    check_size(item.piece, size)
    mask = item.piece.mask
    if mask is not None:
        try:
            _ = mask.runs
        except ValueError as error:
            raise Missing(f"its mask cannot be read ({error})") from error


def file_stem(item: Item) -> str:
    """A safe file name for the file that an item is, or is a piece of, without its ending."""
    if item.path.startswith("row:"):
        return f"row-{item.row:06d}"
    return truncate(safe_name(PurePosixPath(item.path).stem), MAX_STEM) or f"item-{item.row:06d}"


def item_stem(item: Item) -> str:
    """A safe file name for an item, without its ending; that of a piece says where in the file it is."""
    return file_stem(item) + piece_suffix(item.piece)


def unused_path(folder: Path, stem: str, row: int, ending: str) -> Path:
    """A file that is not there yet: items of the same name are distinguished by their ids."""
    file = folder / f"{stem}{ending}"
    while os.path.lexists(file):
        stem = f"{stem}-{row:06d}"
        file = folder / f"{stem}{ending}"
    return file


def write_content(content: Content, file: Path, mode: str, as_png: bool = False) -> None:
    """Write or link one file.

    Args:
        content: the pixels of an array, members of a tar and cut pieces are written whatever the mode.
        file: not there yet.
        mode: "copy", "hard" or "link".
        as_png: convert a picture to PNG.

    Raises:
        Missing: the content cannot be read.
        UserError: the file system has no hard links.
    """
    if not isinstance(content, Blob) or as_png:
        write_chunks(iter([read_bytes(content, as_png=True)]), file)
    elif mode == "copy" or not content.is_whole_file:
        write_chunks(read_chunks(content), file)
    elif not Path(content.file).is_file():
        raise Missing("there is no such file any more")
    else:
        link_file(Path(content.file), file, mode)


def write_chunks(chunks: Iterator[bytes], file: Path) -> None:
    first = next(chunks, b"")  # before the file is made: what cannot be read at all leaves none
    with file.open("xb") as out:
        out.write(first)
        for chunk in chunks:
            out.write(chunk)


def link_file(source: Path, file: Path, mode: str) -> None:
    """Link to the source's target: symbolically for the mode "link", else by a hard link."""
    if mode == "link":
        file.symlink_to(source.resolve())
        return
    try:
        os.link(source.resolve(), file)
    except OSError as error:
        if error.errno in NO_HARD_LINKS:
            reason = f"{source}: cannot be hard-linked to {file.parent} ({error.strerror}); copy instead, or use --link."
            raise UserError(reason) from error
        raise
