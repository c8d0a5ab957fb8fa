"""One image's bytes to one square uint8 array. Imports no torch, so that worker processes start quickly."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 100_000_000  # a larger picture is taken for a decompression bomb
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
WHITE = (255, 255, 255, 255)
GREY_SPREAD = 8  # levels that the channels of a grey pixel may differ by: JPEG rounds
BACKGROUND_LEVELS = 33  # grey levels that count as one background


class Undecodable(Exception):
    """The bytes cannot be decoded; the text says why."""


def open_image(data: bytes, draft_px: int | None = None) -> Image.Image:
    """Decode to mode 'L' or 'RGB': first frame, upright by its EXIF, 16-bit scaled to 8, transparency over white.

    Args:
        data: the encoded bytes.
        draft_px: lets JPEG decode at a reduced scale whose short side still has this many pixels.

    Raises:
        Undecodable: empty, truncated, too large, or not an image.
    """
    if not data:
        raise Undecodable("the file is empty (zero bytes)")
    try:
        if data[4:8] == b"ftyp":
            register_heif()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            if draft_px:
                image.draft(None, (draft_px, draft_px))
            image.load()
            return to_grey_or_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Undecodable(f"more than {MAX_PIXELS:,} pixels: taken for a decompression bomb") from error
    except Image.UnidentifiedImageError as error:
        raise Undecodable("not an image, whatever its name says") from error
    except Exception as error:  # Pillow's readers raise any exception on broken bytes
        raise Undecodable(f"cannot be decoded ({type(error).__name__}: {error})") from error


@cache
def register_heif() -> None:
    """Teach Pillow to read HEIC, where the extra selflabel[heic] is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(to_uint8(np.asarray(image, np.float64)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, WHITE), over).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def to_uint8(values: np.ndarray) -> np.ndarray:
    """16-bit images divided by 257, floats in [0, 1] times 255, others as they are."""
    top = values.max(initial=0)
    scaled = values / 257 if top > 255 else values * 255 if 0 < top <= 1 else values
    return np.clip(scaled + 0.5, 0, 255).astype(np.uint8)


def to_square(image: Image.Image, px: int) -> Image.Image:
    """Resize the middle square to `px` pixels a side; an image of that size already is returned as it is."""
    if image.size == (px, px):
        return image
    w, h = image.size
    side = min(w, h)
    left, top = (w - side) / 2, (h - side) / 2
    return image.resize((px, px), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side), reducing_gap=2.0)


def decode_square(data: bytes, px: int, channels: int) -> np.ndarray:
    """Decode the middle square of an image.

    Args:
        data: the encoded bytes.
        px: side in pixels.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        (channels, px, px) uint8.

    Raises:
        Undecodable: see `open_image`.
    """
    image = to_square(open_image(data, draft_px=px), px).convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(image)
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
