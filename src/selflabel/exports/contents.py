"""An item's own bytes: its files by their ending, read whole or in chunks; a row of an array is a PNG.

What cannot be read raises `Missing`: such an item is left out, and the export goes on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from selflabel.base.files import open_regular
from selflabel.decode.image import Undecodable, open_image, register_heif
from selflabel.exports.context import ExportContext, Item
from selflabel.items import ENDINGS, KINDS, Blob
from selflabel.runs.missing import Missing
from selflabel.runs.pictures import array_picture

CHUNK = 1 << 20  # bytes
MAX_ODD_ENDING = 10  # characters of an ending that is no medium's
SOUND_SIGNATURES = ((0, b"RIFF", ".wav"), (0, b"fLaC", ".flac"), (0, b"OggS", ".ogg"), (4, b"ftyp", ".m4a"))

Content = Blob | np.ndarray  # a file or a member of a tar, or the pixels (H, W[, C]) uint8 of an array's row


def item_contents(context: ExportContext, item: Item) -> dict[str, Content]:
    """An item's files by their ending: first that of its path, then the sound that was labelled with it.

    Raises:
        Missing: the item is not there, or it is a row of features.
    """
    blobs = context.source.blobs(item.row)
    if not blobs:
        values = context.source.values(item.row)
        if values.ndim == 1:
            raise Missing("is a row of features and has no file")
        return {".png": values}
    main = next(kind for kind in KINDS if kind in blobs)
    contents: dict[str, Content] = {safe_ending(item.path): blobs[main]}
    sound = blobs.get("audio")
    if sound is not None and sound != blobs[main] and "audio" in context.modalities:
        contents.setdefault(safe_ending(sound.file) if sound.is_whole_file else sound_ending(sound), sound)
    return contents


def safe_ending(path: str) -> str:
    """The ending of a path in lower case; one that is no medium's only with its letters, digits and dot."""
    ending = PurePosixPath(path).suffix.lower()
    return ending if ending in ENDINGS else "".join(c for c in ending if c.isalnum() or c == ".")[:MAX_ODD_ENDING]


def sound_ending(blob: Blob) -> str:
    """The ending for a sound in a tar, by its first bytes; .mp3 where they tell nothing. Raises Missing."""
    with open_blob(blob) as file:
        head = file.read(12)
    return next((ending for start, bytes_, ending in SOUND_SIGNATURES if head[start:].startswith(bytes_)), ".mp3")


def image_size(content: Content) -> tuple[int, int]:
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


def open_blob(blob: Blob) -> BinaryIO:
    """The bytes as an open file. Raises Missing."""
    try:
        return open_regular(blob.file) if blob.is_whole_file else io.BytesIO(blob.read())
    except OSError as error:
        raise Missing(f"cannot be read ({error.strerror or error})") from error


def read_bytes(content: Content, as_png: bool = False) -> bytes:
    """The whole content, encoded.

    Args:
        content: pixels become PNG.
        as_png: a picture file becomes PNG, too.

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
