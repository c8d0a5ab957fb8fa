"""An item's own bytes: its files by their ending, read whole or in chunks; a row of an array is a PNG. An item that is a piece of
a file is that piece, cut out.

What cannot be read raises `Missing`: such an item is left out, and the export goes on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from selflabel.base.files import open_regular
from selflabel.decode.image import Undecodable, open_image, register_heif
from selflabel.exports.context import ExportContext, Item
from selflabel.exports.cut_pictures import row_crop, turned_upright
from selflabel.items import ENDINGS, KINDS, Blob
from selflabel.runs.missing import Missing
from selflabel.runs.pictures import array_picture

CHUNK = 1 << 20  # bytes
MAX_ODD_ENDING = 10  # characters of an ending that is no medium's
SOUND_SIGNATURES = ((0, b"RIFF", ".wav"), (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (4, b"ftyp", ".m4a"))

# A file or a member of a tar, or the pixels (H, W[, C]) uint8 of an array's row, or the encoded bytes of a piece.
Content = Blob | np.ndarray | bytes


def item_contents(context: ExportContext, item: Item) -> dict[str, Content]:
    """An item's files by their ending: first that of its path, then the sound that was labelled with it; pieces are cut out.

    Raises:
        Missing: the item is not there, or it is a row of features.
    """
    blobs = context.source.blobs(item.row)
    if not blobs:
        pixels = row_pixels(context, item)
        return {".png": row_crop(pixels, item.piece) if item.piece is not None and item.piece.box is not None else pixels}
    main = next(kind for kind in KINDS if kind in blobs)
    ending, content = context.cutter.cut(main, blobs[main]) or (safe_ending(item.path), blobs[main])
    contents: dict[str, Content] = {ending: content}
    sound = blobs.get("audio")
    if sound is not None and sound != blobs[main] and "audio" in context.modalities:
        ending, content = context.cutter.cut("audio", sound) or (ending_of_sound(sound), sound)
        contents.setdefault(ending, content)
    return contents


def whole_content(context: ExportContext, item: Item) -> tuple[str, Blob | np.ndarray]:
    """The ending and content of the file that an item is, or is a piece of. Raises Missing as `item_contents` does."""
    blobs = context.source.blobs(item.row)
    if not blobs:
        return ".png", row_pixels(context, item)
    return safe_ending(item.path), replace(blobs[next(kind for kind in KINDS if kind in blobs)], piece=None)


def row_pixels(context: ExportContext, item: Item) -> np.ndarray:
    """The pixels (H, W[, C]) uint8 of an array's row. Raises Missing."""
    values = context.source.values(item.row)
    if values.ndim == 1:
        raise Missing("is a row of features and has no file")
    return values


def ending_of_sound(sound: Blob) -> str:
    return safe_ending(sound.file) if sound.is_whole_file else sound_ending(sound)


def safe_ending(path: str) -> str:
    """The ending of a path in lower case; one that is no medium's only with its letters, digits and dot."""
    ending = PurePosixPath(path).suffix.lower()
    return ending if ending in ENDINGS else "".join(c for c in ending if c.isalnum() or c == ".")[:MAX_ODD_ENDING]


def sound_ending(blob: Blob) -> str:
    """The ending for a sound in a tar, by its first bytes; .mp3 where they tell nothing. Raises Missing."""
    with open_blob(blob) as file:
        head = file.read(12)
    return next((ending for start, bytes_, ending in SOUND_SIGNATURES if head[start:].startswith(bytes_)), ".mp3")


def image_size(content: Blob | np.ndarray) -> tuple[int, int]:
    """(width, height) in pixels, as stored.

    Raises:
        Missing: it is no picture.
    """
    if isinstance(content, np.ndarray):
        return content.shape[1], content.shape[0]
    try:
        with open_blob(content) as file:
            if file.read(8)[4:] == b"ftyp":
                register_heif()
            file.seek(0)
            with Image.open(file) as image:
                return image.size
    except Missing:
        raise
    except Exception as error:  # Pillow's readers raise any exception on broken bytes
        raise Missing("cannot be read as a picture") from error


def upright_picture(content: Blob | np.ndarray) -> tuple[tuple[int, int], str, bytes]:
    """See `turned_upright`; of pixels only the size.

    Raises:
        Missing: it is no picture.
    """
    if isinstance(content, np.ndarray):
        return (content.shape[1], content.shape[0]), "", b""
    try:
        with open_blob(content) as file:
            return turned_upright(file)
    except Missing:
        raise
    except Exception as error:  # as in `image_size`
        raise Missing("cannot be read as a picture") from error


def open_blob(blob: Blob) -> BinaryIO:
    """The bytes as an open file. Raises Missing."""
    try:
        return open_regular(blob.file) if blob.is_whole_file else io.BytesIO(blob.read())
    except OSError as error:
        raise Missing(f"cannot be read ({error.strerror or error})") from error


def read_bytes(content: Content, as_png: bool = False) -> bytes:
    """The whole content, encoded.

    Args:
        content: pixels become PNG; bytes stay.
        as_png: a picture file becomes PNG, too.

    Raises:
        Missing: it cannot be read.
    """
    try:
        if isinstance(content, bytes):
            return content
        if isinstance(content, Blob) and not as_png:
            return content.read()
        data = io.BytesIO()
        (array_picture(content) if isinstance(content, np.ndarray) else open_image(content.read())).save(data, "PNG")
        return data.getvalue()
    except (OSError, Undecodable) as error:
        raise Missing(f"cannot be read ({error})") from error


def read_chunks(blob: Blob) -> Iterator[bytes]:
    """The bytes, 1 MiB at a time. Raises Missing."""
    with open_blob(blob) as source:
        while True:
            try:
                chunk = source.read(CHUNK)
            except OSError as error:
                raise Missing(f"cannot be read ({error.strerror or error})") from error
            if not chunk:
                return
            yield chunk
