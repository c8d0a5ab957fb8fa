"""Heatmaps as the page lays them over a photo or film: of one channel a small picture, clear where the map is lowest.

A map is coloured from its own lowest to its own highest value, so that faint ones can be seen; the page says the highest value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from selflabel.items import Piece
from selflabel.runs.maps import Maps

PX = 256  # of the longer side, at least, to which a map is enlarged
RAMP = np.array([[40, 11, 84], [159, 42, 99], [236, 105, 37], [252, 255, 164]], np.float32)  # colours from low to high, RGB


def heat_details(maps: Maps | None, piece: Piece | None, row: int) -> dict[str, Any] | None:
    """What the page needs to lay an item's heatmap over its photo; None where there is none.

    Args:
        maps: of the run.
        piece: the item; of whole files there are no heatmaps on the page.
        row: of the item.

    Returns:
        `place`, the square that the map shows, as fractions of the photo (beyond 1 where it is larger); the names of its
        `channels`; its number of `frames`; and the `highest` value of each channel, 0 to 1 of a probability.
    """
    if maps is None or piece is None or piece.box is None or maps.info.geometry == "spectrogram":
        return None
    values = map_of(maps, row)
    channels = maps.info.names or tuple(str(c) for c in range(len(values)))
    return {
        "place": square_of(piece.size, maps.info.geometry),
        "channels": list(channels),
        "frames": maps.info.frames,
        "highest": [round(float(value), 3) for value in values.max(axis=(1, 2))],
    }


def map_of(maps: Maps, row: int) -> np.ndarray:
    """(C, frames * h, w) the values of an item's map."""
    return maps.values(maps.rows_of(np.array([row])))[0]


def square_of(size: tuple[int, int], geometry: str) -> list[float]:
    """The square that a map shows, as fractions of a photo of this size (width, height).

    Example:
        >>> square_of((200, 100), "letterbox"), square_of((200, 100), "square")
        ([0.0, 0.0, 1.0, 2.0], [0.25, 0.0, 0.75, 1.0])
    """
    width, height = size
    side = max(size) if geometry == "letterbox" else min(size)
    left, top = (0.0, 0.0) if geometry == "letterbox" else ((width - side) / 2, (height - side) / 2)
    return [left / width, top / height, (left + side) / width, (top + side) / height]


def heat_picture(maps: Maps, row: int, channel: int, frame: int) -> Image.Image:
    """A map as RGBA.

    Args:
        maps: of the run.
        row: of the item.
        channel, frame: which of its maps.
    """
    values = map_of(maps, row)[channel]
    height = len(values) // maps.info.frames
    values = values[frame * height : (frame + 1) * height]
    shares = (values - values.min()) / max(float(np.ptp(values)), 1e-6)
    factor = -(-PX // max(shares.shape))
    large = Image.fromarray(shares.astype(np.float32)).resize(
        (shares.shape[1] * factor, shares.shape[0] * factor), Image.Resampling.BILINEAR
    )
    return coloured(np.asarray(large))


def coloured(shares: np.ndarray) -> Image.Image:
    """(h, w) shares, 0 to 1, as RGBA: clear at 0, and along RAMP."""
    at = shares * (len(RAMP) - 1)
    low = np.minimum(at.astype(np.int64), len(RAMP) - 2)
    colours = RAMP[low] + (at - low)[..., None] * (RAMP[low + 1] - RAMP[low])
    return Image.fromarray(np.dstack([colours, shares * 255]).round().astype(np.uint8), "RGBA")
