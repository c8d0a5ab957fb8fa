"""A box cut out of a picture, pixel for pixel; and pictures that cameras stored lying, written upright.

Cuts are PNG, so that no pixel changes. Readers differ in what they do with the turn in a picture's EXIF: OpenCV, Detectron2 and
label tools turn it, torchvision and plain Pillow do not. Boxes are those of the upright picture; so a turned picture is written
upright and without the turn, and both kinds of readers see the same.
"""

from __future__ import annotations

import io
import math
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from selflabel.decode.image import register_heif
from selflabel.items import Piece
from selflabel.items.piece import Box
from selflabel.runs.missing import Missing

ORIENTATION = 0x0112  # the EXIF tag; 2 to 8 are turned or mirrored
JPEGS = ("JPEG", "MPO")
JPEG_QUALITY = 95
ALMOST = 1e-3  # of a pixel: a box that ends so little inside a pixel does not touch it


def check_size(piece: Piece, size: tuple[int, int]) -> None:
    """Raise Missing where a picture has another size (width, height) than the one that a piece's box is in."""
    if piece.box is not None and tuple(piece.size) != tuple(size):
        stated = f"{piece.size[0]} x {piece.size[1]}"
        raise Missing(f"its picture has {size[0]} x {size[1]} pixels, and its box is in one of {stated}")


def pixel_box(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels (x0, y0, x1, y1) that a box touches in a picture of a size (width, height); one at least.

    Example:
        >>> pixel_box((1.5, 2.0, 3.0004, 9.5), (10, 9))
        (1, 2, 3, 9)
    """
    width, height = size
    x0, y0 = min(max(math.floor(box[0] + ALMOST), 0), width - 1), min(max(math.floor(box[1] + ALMOST), 0), height - 1)
    x1, y1 = min(math.ceil(box[2] - ALMOST), width), min(math.ceil(box[3] - ALMOST), height)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def crop(picture: Image.Image, piece: Piece) -> bytes:
    """The pixels in a piece's box as PNG.

    Raises:
        Missing: the picture has another size than the one that the box is in.
    """
    assert piece.box is not None
    check_size(piece, picture.size)
    return png(picture.crop(pixel_box(piece.box, picture.size)))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return out.getvalue()


def turned_upright(file: BinaryIO) -> tuple[tuple[int, int], str, bytes]:
    """A picture's size upright (width, height), and where its EXIF turns it the ending and bytes of the picture written upright,
    else "" and none.

    A JPEG stays one, of quality 95 and full colours; anything else becomes PNG. Any exception may be raised on broken bytes.
    """
    if file.read(8)[4:] == b"ftyp":
        register_heif()
    file.seek(0)
    with Image.open(file) as image:
        if image.getexif().get(ORIENTATION, 1) not in range(2, 9):
            return image.size, "", b""
        kind, profile = image.format, image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image)
    out = io.BytesIO()
    if kind in JPEGS:
        upright.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=profile, exif=b"")
        return upright.size, ".jpg", out.getvalue()
    upright.save(out, "PNG", icc_profile=profile, exif=b"")
    return upright.size, ".png", out.getvalue()


def row_crop(pixels: np.ndarray, piece: Piece) -> np.ndarray:
    """The pixels of a piece's box in an array's row (H, W[, C]). Raises Missing as `crop` does."""
    assert piece.box is not None
    size = (pixels.shape[1], pixels.shape[0])
    check_size(piece, size)
    x0, y0, x1, y1 = pixel_box(piece.box, size)
    return pixels[y0:y1, x0:x1]
