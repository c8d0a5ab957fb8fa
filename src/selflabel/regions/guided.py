"""From patches to pixels: a guided filter makes the borders of a soft mask follow those of a picture.

He, Sun & Tang (2013), "Guided image filtering", Algorithm 1, with a grey picture as the guide: in each window the mask is fitted
as a line of the picture's values, and the fits of all windows over a pixel are averaged. It needs means over boxes only.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label as label_components
from scipy.ndimage import uniform_filter, zoom

LEAST_KEPT = 0.5  # share of an object's patches that lies inside after filtering


def guided_filter(guide_HW: np.ndarray, mask_HW: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """A mask smoothed along a picture's borders.

    Args:
        guide_HW: grey picture in [0, 1].
        mask_HW: float in [0, 1].
        radius: of a window, in pixels: it has 2 radius + 1 of them a side.
        epsilon: variance of the guide below which a window counts as flat.

    Returns:
        (H, W) float32, about 0 to 1.
    """

    def mean(x: np.ndarray) -> np.ndarray:
        return uniform_filter(x, 2 * radius + 1, mode="nearest")

    guide, mask = guide_HW.astype(np.float32), mask_HW.astype(np.float32)
    mean_guide, mean_mask = mean(guide), mean(mask)
    variance = mean(guide * guide) - mean_guide**2
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (np.maximum(variance, 0) + epsilon)
    offset = mean_mask - slope * mean_guide
    return mean(slope) * guide + mean(offset)


def enlarged(map_hw: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map of patches at a picture's (H, W): bilinear, each value in the middle of its patch."""
    factors = [big / small for big, small in zip(shape, map_hw.shape)]
    return zoom(map_hw.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True)


def refined(mask_hw: np.ndarray, guide_HW: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """(H, W) float32 soft mask of an object in [0, 1], above .5 inside; pieces that touch none of its patches are left out.

    An object that is so small or thin that the filter would blur most of it away keeps its patches as they are.

    Args:
        mask_hw: bool, the patches of the object.
        guide_HW, radius, epsilon: as in `guided_filter`.
    """
    blocks = enlarged(mask_hw, guide_HW.shape)
    soft = np.clip(guided_filter(guide_HW, blocks, radius, epsilon), 0, 1)
    if ((soft > 0.5) & (blocks > 0.5)).sum() < LEAST_KEPT * (blocks > 0.5).sum():
        return blocks
    pieces, _ = label_components(soft > 0.5)
    own = np.unique(pieces[blocks > 0.5])
    return np.where(np.isin(pieces, own) | (pieces == 0), soft, 0).astype(np.float32)
