"""The whole frame of a picture in a square: made smaller or larger, in the top left corner, the rest in one grey.

A place of the square is one of the upright original by two factors, so that maps of a network come back to its pixels.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from selflabel.decode.image import JPEG, open_image
from selflabel.decode.scale import Scale

PADDING = 128  # grey level beside the picture
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)  # EXIF: its tag, and its values of pictures that lie on their side


def shown_size(size: tuple[int, int], px: int) -> tuple[int, int]:
    """(width, height) in pixels that a picture of this size takes in a square of `px`, at least one each.

    Example:
        >>> shown_size((4000, 3000), 448), shown_size((10, 20), 448), shown_size((5000, 1), 448)
        ((448, 336), (224, 448), (448, 1))
    """
    scale = px / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def decode_whole(data: bytes, px: int, channels: int, scale: Scale | None = None) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode the whole frame of an image.

    Args:
        data: the encoded bytes.
        px: side of the square in pixels.
        channels: 1 (grey) or 3 (RGB).
        scale: of the set; None where its pictures are plain 8-bit.

    Returns:
        (channels, px, px) uint8, and (width, height) of the upright original in pixels.

    Raises:
        Undecodable: see `open_image`.
    """
    image = open_image(data, px, scale).convert("L" if channels == 1 else "RGB")
    size = image.size if data[:2] != JPEG else size_of_jpeg(data)
    shown = shown_size(size, px)
    square = Image.new(image.mode, (px, px), PADDING if channels == 1 else (PADDING,) * 3)
    square.paste(image if image.size == shown else image.resize(shown, Image.Resampling.BILINEAR, reducing_gap=2.0), (0, 0))
    pixels = np.asarray(square)
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)), size


def size_of_jpeg(data: bytes) -> tuple[int, int]:
    """(width, height) of a JPEG that can be decoded, upright; it may have been decoded at a reduced scale."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(ORIENTATION) in SIDEWAYS else (width, height)
