"""What says nothing about a picture, and often scores well: the middle of it, and all of it. Any finder has to beat both.

Boxes and masks in the middle have several sizes, of which the one that the truth likes best counts: a generous measure.
"""

from __future__ import annotations

import math

import numpy as np

AREAS = (0.1, 0.25, 0.5, 0.75)  # of boxes and ellipses in the middle, as shares of the picture's


def centre_box(size: tuple[float, float], area: float) -> np.ndarray:
    """(1, 4) a box in the middle of a picture (width, height), of its shape and this share of its area.

    Example:
        >>> centre_box((100, 40), 0.25).tolist()
        [[25.0, 10.0, 75.0, 30.0]]
    """
    half = math.sqrt(area) / 2
    return np.array([[0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half]]) * np.tile(np.asarray(size, np.float64), 2)


def centre_ellipse(shape: tuple[int, int], area: float) -> np.ndarray:
    """(H, W) bool, an ellipse in the middle of a picture (H, W), with this share of its area while it fits into it."""
    return centre_map(shape) > 1 - 2 * math.sqrt(area / math.pi)


def centre_map(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) in [0, 1], a heatmap that is brightest in the middle and falls evenly to 0 at the middle of each edge."""
    y, x = ((np.arange(n) + 0.5) / n - 0.5 for n in shape)
    return np.clip(1 - 2 * np.hypot(y[:, None], x[None]), 0, 1)
