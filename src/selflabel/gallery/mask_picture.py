"""A mask as a picture of bounded size, however large the photo is: white where the item is, clear elsewhere."""

from __future__ import annotations

import numpy as np
from PIL import Image

from selflabel.base.rle import Rle
from selflabel.gallery.parts import readable_box

SIDES_PX = (512, 1024)  # least and greatest length of the longer side


def mask_picture(mask: Rle) -> Image.Image:
    """The smallest box around a mask, as RGBA.

    Every pixel is looked up in the run lengths, so that the mask of a huge photo is never held whole.

    Raises:
        Missing: the mask is damaged or empty.
    """
    x0, y0, x1, y1 = readable_box(mask)
    width, height = scaled_size(x1 - x0, y1 - y0)
    columns = x0 + (np.arange(width) * 2 + 1) * (x1 - x0) // (2 * width)  # the pixel that a pixel's middle lies in
    rows = y0 + (np.arange(height) * 2 + 1) * (y1 - y0) // (2 * height)
    places = columns[None, :].astype(np.int64) * mask.height + rows[:, None]  # the runs go column by column
    inside = np.searchsorted(np.cumsum(mask.runs), places, side="right") % 2 == 1
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[..., 3] = np.where(inside, 255, 0)
    return Image.fromarray(pixels, "RGBA")


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """A width and height of the same proportions, the longer of which lies within SIDES_PX.

    Example:
        >>> scaled_size(40, 20), scaled_size(600, 300), scaled_size(8000, 2)
        ((512, 256), (600, 300), (1024, 1))
    """
    longer = max(width, height)
    factor = min(max(longer, SIDES_PX[0]), SIDES_PX[1]) / longer
    return max(1, round(width * factor)), max(1, round(height * factor))
