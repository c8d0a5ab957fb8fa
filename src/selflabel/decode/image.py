"""One image's bytes to one square uint8 array. Imports no torch, so that worker processes start quickly."""

from __future__ import annotations

import io
import math
import warnings
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from selflabel.decode.deep import BANDS, NO_DATA, NotRead, deep_colours, is_tiff, tiff_bands, tiff_tags, without_nodata
from selflabel.decode.scale import Scale, to_uint8
from selflabel.items import Blob, Piece
from selflabel.items.piece import Box

MAX_PIXELS = 100_000_000  # a larger picture is taken for a decompression bomb
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # makers of pictures keep their settings in PNG, in megabytes
WHITE = (255, 255, 255, 255)
JPEG = b"\xff\xd8"
GREY_SPREAD = 8  # levels that the channels of a grey pixel may differ by: JPEG rounds
BACKGROUND_LEVELS = 33  # grey levels that count as one background


class Undecodable(Exception):
    """The bytes cannot be decoded; the text says why."""


def open_image(data: bytes, draft_px: int | None = None, scale: Scale | None = None) -> Image.Image:
    """Decode to mode 'L' or 'RGB': first frame, upright by its EXIF, more than 8 bits scaled to 8, transparency over white.

    Args:
        data: the encoded bytes.
        draft_px: lets JPEG decode at a reduced scale whose short side still has this many pixels.
        scale: of the set; None where its pictures are plain 8-bit.

    Raises:
        Undecodable: empty, truncated, too large, or not an image.
    """
    picture = open_values(data, draft_px, deep=scale is not None)
    if isinstance(picture, Image.Image) and not (scale and scale.eight_bit):
        return picture
    return Image.fromarray(np.ascontiguousarray(to_uint8(np.asarray(picture), scale)))


def open_values(data: bytes, draft_px: int | None = None, deep: bool = True) -> Image.Image | np.ndarray:
    """Decode to an 8-bit image of mode 'L' or 'RGB', or to an array (H, W) or (H, W, 3) of the values of any other picture.

    Args:
        data, draft_px: see `open_image`.
        deep: also read 16-bit colours in full, of which Pillow keeps the high bytes.

    Raises:
        Undecodable: see `open_image`; or no pixel has a finite value.
    """
    if not data:
        raise Undecodable("the file is empty (zero bytes)")
    try:
        if data[4:8] == b"ftyp":
            register_heif()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return read_values(data, draft_px, deep)
    except Undecodable:
        raise
    except NotRead as error:
        raise Undecodable(str(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Undecodable(f"more than {MAX_PIXELS:,} pixels: taken for a decompression bomb") from error
    except Image.UnidentifiedImageError as error:
        raise Undecodable("not an image, whatever its name says") from error
    except Exception as error:  # Pillow's readers raise any exception on broken bytes
        raise Undecodable(f"cannot be decoded ({type(error).__name__}: {error})") from error


def read_values(data: bytes, draft_px: int | None, deep: bool) -> Image.Image | np.ndarray:
    """See `open_values`; any exception may be raised."""
    colours = deep_colours(data) if deep else None
    if colours is None:
        try:
            image = Image.open(io.BytesIO(data))
        except Image.UnidentifiedImageError:
            if not is_tiff(data):
                raise
            colours = tiff_bands(data)
    if colours is not None:
        return finite(colours[..., 0] if colours.shape[2] < 3 else colours)
    if draft_px:
        image.draft(None, (draft_px, draft_px))
    image.load()
    if not image.mode.startswith("I") and image.mode != "F":
        return to_grey_or_rgb(ImageOps.exif_transpose(image))
    tags: Any = getattr(image, "tag_v2", {})
    values = np.asarray(ImageOps.exif_transpose(image), np.float64 if image.mode == "F" else None)
    return finite(without_nodata(values, tags.get(NO_DATA)))


def finite(values: np.ndarray) -> np.ndarray:
    """The values themselves. Raises Undecodable where none is finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).any():
        raise Undecodable("no pixel has a finite value")
    return values


def peculiarity(data: bytes) -> str:
    """What of a picture is left out, as the end of a sentence; "" where nothing is, or the picture cannot be decoded."""
    if data[:2] == JPEG:
        return ""
    try:
        bands = int(tiff_tags(data).get(BANDS, 1)) if is_tiff(data) else 1
        if bands > 4:
            return f"have {bands} bands: the first three are shown as red, green and blue"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                return "have several pages or frames: the first one is used" if getattr(image, "is_animated", False) else ""
    except Exception:  # as in `open_values`
        return ""


@cache
def register_heif() -> None:
    """Teach Pillow to read HEIC, where the extra selflabel[heic] is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, WHITE), over).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def to_square(image: Image.Image, px: int) -> Image.Image:
    """Resize the middle square to `px` pixels a side; an image of that size already is returned as it is."""
    if image.size == (px, px):
        return image
    w, h = image.size
    side = min(w, h)
    left, top = (w - side) / 2, (h - side) / 2
    return image.resize((px, px), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side), reducing_gap=2.0)


def square_around(box: Box, size: tuple[int, int]) -> Box:
    """The square around a box's middle that is as large as its longer side, moved into the picture; where the picture is too
    small for it, as much of it as there is.

    Args:
        box: (x0, y0, x1, y1) in pixels of the picture.
        size: (width, height) of the picture.

    Example:
        >>> square_around((0, 10, 10, 30), (100, 25)), square_around((90, 0, 98, 4), (100, 100))
        ((0.0, 5.0, 20.0, 25.0), (90.0, 0.0, 98.0, 8.0))
    """
    side = max(box[2] - box[0], box[3] - box[1])
    spans = []
    for low, high, length in ((box[0], box[2], size[0]), (box[1], box[3], size[1])):
        first = float(min(max((low + high - side) / 2, 0), max(length - side, 0)))
        spans.append((first, float(min(first + side, length))))
    (x0, x1), (y0, y1) = spans
    return x0, y0, x1, y1


def side_shown(blob: Blob, short_px: int) -> int:
    """The side in pixels that is shown of a blob whose picture has this short side: its box's longer side, or all of it."""
    box = blob.piece.box if blob.piece is not None else None
    return short_px if box is None else max(1, round(max(box[2] - box[0], box[3] - box[1])))


def piece_square(image: Image.Image, piece: Piece, px: int) -> Image.Image:
    """The square around a piece's box, resized to `px` pixels a side; the image may have been decoded at a smaller scale."""
    assert piece.box is not None
    x0, y0, x1, y1 = square_around(piece.box, piece.size)
    across, down = image.width / piece.size[0], image.height / piece.size[1]
    box = (x0 * across, y0 * down, min(x1 * across, image.width), min(y1 * down, image.height))
    return image.resize((px, px), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


def draft_for(piece: Piece | None, px: int) -> int:
    """The short side in pixels that a picture is decoded at, so that a square of it still has `px` a side."""
    if piece is None or piece.box is None:
        return px
    x0, y0, x1, y1 = square_around(piece.box, piece.size)
    return math.ceil(px * min(piece.size) / max(1.0, max(x1 - x0, y1 - y0)))


def decode_square(data: bytes, px: int, channels: int, scale: Scale | None = None, piece: Piece | None = None) -> np.ndarray:
    """Decode the middle square of an image, or the square around a piece of it.

    Args:
        data: the encoded bytes.
        px: side in pixels.
        channels: 1 (grey) or 3 (RGB).
        scale: of the set; None where its pictures are plain 8-bit.
        piece: whose box is shown; None for the whole picture.

    Returns:
        (channels, px, px) uint8.

    Raises:
        Undecodable: see `open_image`.
    """
    image = open_image(data, draft_for(piece, px), scale)
    square = to_square(image, px) if piece is None or piece.box is None else piece_square(image, piece, px)
    pixels = np.asarray(square.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def is_grey(pixels: np.ndarray) -> bool:
    """Whether an (H, W) or (H, W, C) uint8 picture has no colour, JPEG's rounding aside."""
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return True
    rgb = pixels[..., :3].astype(np.int16)
    return bool((np.ptp(rgb, axis=2) <= GREY_SPREAD).mean() > 0.99)


def background_share(pixels: np.ndarray) -> float:
    """Share of the pixels of an (H, W[, C]) uint8 picture within 16 levels of one grey level: high for signs on plain paper."""
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2).astype(np.uint8)
    counts = np.bincount(grey.reshape(-1), minlength=256)
    return float(np.convolve(counts, np.ones(BACKGROUND_LEVELS), "same").max() / grey.size)
