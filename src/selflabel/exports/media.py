"""An item's own bytes into an export: copied, hard-linked or linked; a row of an array as a PNG.

Reading may fail (a file is gone: the item is left out), writing may fail (the disk is full: the export ends).
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.decode.image import Undecodable, open_image
from selflabel.exports.base import Item, Taken
from selflabel.exports.names import cut, safe
from selflabel.items import ENDINGS, KINDS, Blob
from selflabel.runs.pictures import array_picture
from selflabel.runs.sources import Missing

CHUNK = 1 << 20  # bytes copied at a time
LONGEST_STEM = 100  # bytes
SOUND_SIGNS = ((0, b"RIFF", ".wav"), (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (4, b"ftyp", ".m4a"))

Content = Blob | np.ndarray


def contents(taken: Taken, item: Item) -> dict[str, Content]:
    """The item's files by their ending: the one of its path first, and a sound of its own beside it.

    Raises:
        Missing: it is not there.
    """
    blobs = taken.source.blobs(item.row)
    if not blobs:
        values = taken.source.values(item.row)
        if values.ndim == 1:
            raise Missing("is a row of features and has no file")
        return {".png": values}
    main = next(kind for kind in KINDS if kind in blobs)
    found: dict[str, Content] = {ending_of(item.path): blobs[main]}
    beside = blobs.get("audio")
    if beside is not None and beside != blobs[main] and "audio" in taken.modalities:
        found.setdefault(ending_of(beside.file) if beside.length is None else sound_ending(beside), beside)
    return found


def sound_ending(blob: Blob) -> str:
    """The ending that a sound in a tar must have had, by its first bytes. Raises Missing."""
    with opened(blob) as file:
        head = file.read(12)
    return next((ending for at, sign, ending in SOUND_SIGNS if head[at:].startswith(sign)), ".mp3")


def ending_of(path: str) -> str:
    ending = PurePosixPath(path).suffix.lower()
    return ending if ending in ENDINGS else "".join(c for c in ending if c.isalnum() or c == ".")[:10]


def stem_of(item: Item) -> str:
    """A safe file name without its ending."""
    if item.path.startswith("row:"):
        return f"row-{item.row:06d}"
    return cut(safe(PurePosixPath(item.path).stem), LONGEST_STEM) or f"item-{item.row:06d}"


def size_of(content: Content) -> tuple[int, int]:
    """(width, height) in pixels, as stored.

    Raises:
        Missing: it is no picture.
    """
    if isinstance(content, np.ndarray):
        return content.shape[1], content.shape[0]
    try:
        with opened(content) as file, Image.open(file) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Missing("cannot be read as a picture") from error


def opened(blob: Blob) -> BinaryIO:
    """The item's bytes as a file. Raises Missing."""
    try:
        return Path(blob.file).open("rb") if blob.length is None else io.BytesIO(blob.read())
    except OSError as error:
        raise Missing(f"cannot be read ({error.strerror or error})") from error


def bytes_of(content: Content, as_png: bool = False) -> bytes:
    """The whole item, encoded.

    Raises:
        Missing: it cannot be read.
    """
    try:
        if isinstance(content, Blob) and not as_png:
            return content.read()
        data = io.BytesIO()
        (array_picture(content) if isinstance(content, np.ndarray) else open_image(content.read())).save(data, "PNG")
        return data.getvalue()
    except (OSError, Undecodable) as error:
        raise Missing(f"cannot be read ({error})") from error


def place(
    taken: Taken,
    item: Item,
    folder: Path,
    stem: str = "",
    only_main: bool = True,
    png_for: tuple[str, ...] = (),
    found: dict[str, Content] | None = None,
) -> Path:
    """Put the item's file into a folder, under its own name where no other has it; the path of the first file.

    Args:
        taken: the export, which says whether to copy or to link.
        item: the item.
        folder: where to; made where it is not there.
        stem: the file's name without its ending.
        only_main: leave out a sound that lies beside the item.
        png_for: endings that the format's readers do not know: such pictures become PNG.
        found: the item's contents, where they are known.

    Raises:
        Missing: the item is not there or cannot be read; nothing is left of it in the folder.
    """
    every = list((found or contents(taken, item)).items())
    folder.mkdir(parents=True, exist_ok=True)
    placed: list[Path] = []
    try:
        for ending, content in every[: 1 if only_main else None]:
            convert = ending in png_for
            wanted = placed[0].stem if placed else stem or stem_of(item)
            file = free(folder, wanted, item.row, ".png" if convert else ending)
            placed.append(file)
            put(content, file, taken.how, convert)
    except BaseException:
        for file in placed:
            file.unlink(missing_ok=True)
        raise
    return placed[0]


def free(folder: Path, stem: str, row: int, ending: str) -> Path:
    """A file that is not there yet; items of one name are told apart by their ids."""
    file = folder / f"{stem}{ending}"
    while os.path.lexists(file):
        stem = f"{stem}-{row:06d}"
        file = folder / f"{stem}{ending}"
    return file


def put(content: Content, file: Path, how: str, as_png: bool = False) -> None:
    if isinstance(content, np.ndarray) or as_png:
        write_parts(iter([bytes_of(content, as_png=True)]), file)
    elif how == "copy" or content.length is not None:
        write_parts(parts_of(content), file)
    elif not Path(content.file).is_file():
        raise Missing("there is no such file any more")
    else:
        link(Path(content.file), file, how)


def parts_of(blob: Blob) -> Iterator[bytes]:
    with opened(blob) as source:
        while True:
            try:
                part = source.read(CHUNK)
            except OSError as error:
                raise Missing(f"cannot be read ({error.strerror or error})") from error
            if not part:
                return
            yield part


def write_parts(parts: Iterator[bytes], file: Path) -> None:
    first = next(parts, b"")  # what cannot be read at all leaves no file
    with file.open("xb") as out:
        out.write(first)
        for part in parts:
            out.write(part)


def link(source: Path, file: Path, how: str) -> None:
    if how == "link":
        file.symlink_to(source.resolve())
        return
    try:
        os.link(source.resolve(), file)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            why = f"{source}: cannot be hard-linked to {file.parent} ({error.strerror}); copy instead, or use --link."
            raise UserError(why) from error
        raise
