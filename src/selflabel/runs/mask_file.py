"""A mask that people or other tools drew, from a PNG that a stranger may have made.

What a pixel means depends on how the PNG stores it: a palette holds numbers of objects or classes (Pascal VOC, Cityscapes), grey
levels may be shades (255 inside) or small numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from selflabel.base.files import open_regular

MAX_PIXELS = 100_000_000
HALF = 127  # grey levels above it are inside, where a mask has any


class NoMask(ValueError):
    """A file is no mask that can be read; the text says why."""


def read_mask(file: Path) -> tuple[np.ndarray, bool]:
    """((H, W) numbers of the pixels as they are stored, whether they are numbers of a palette).

    Colours are turned to grey; transparency counts for nothing.

    Raises:
        NoMask: it is no PNG, is damaged, or has more than MAX_PIXELS.
    """
    try:
        with open_regular(file) as f, Image.open(f, formats=["PNG"]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise NoMask(f"it has more than {MAX_PIXELS:,} pixels")
            if image.mode == "1":
                return np.asarray(image).astype(np.uint8) * 255, False
            is_palette = image.mode == "P"
            plain = image if is_palette or image.mode.startswith("I") else image.convert("L")
            return np.asarray(plain).copy(), is_palette
    except NoMask:
        raise
    except Exception as error:  # Pillow's readers raise anything on broken bytes
        raise NoMask("it is no PNG that can be read") from error


def is_object(numbers_HW: np.ndarray, is_palette: bool) -> np.ndarray:
    """(H, W) bool, where a mask has an object: above 127 where a grey mask has such levels, elsewhere whatever is not 0.

    Example:
        >>> few, shades = np.array([[0, 3]], np.uint8), np.array([[100, 200]], np.uint8)
        >>> is_object(few, False).tolist(), is_object(shades, False).tolist()
        ([[False, True]], [[False, True]])
    """
    is_grey = not is_palette and numbers_HW.dtype == np.uint8 and numbers_HW.max(initial=0) > HALF
    return numbers_HW > (HALF if is_grey else 0)
