"""From patches to pixels: a guided filter makes the borders of a soft mask follow those of a picture.

He, Sun & Tang (2013), "Guided image filtering", Algorithm 1, with a grey picture as the guide: in each window the mask is fitted
as a line of the picture's values, and the fits of all windows over a pixel are averaged. It needs means over boxes only.

`filtered_map` is its fast form (He & Sun, 2015, "Fast guided filter"): the lines are fitted on a small picture, enlarged, and
applied to the large one.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label as label_components
from scipy.ndimage import uniform_filter

FLAT = 1e-3  # variance of grey values in [0, 1] below which a window has no border
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601 luma
LEAST_KEPT = 0.5  # share of an object's patches that lies inside after filtering
FITS = 4  # places a side of a patch at which `filtered_map` fits its lines


def grey_of(pixels_HWC: np.ndarray) -> np.ndarray:
    """(H, W) float32 grey values in [0, 1] of a uint8 picture with one or three channels."""
    return pixels_HWC[..., 0] / np.float32(255) if pixels_HWC.shape[2] == 1 else pixels_HWC @ (GREY / 255)


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

    slope, offset = lines(guide_HW, mask_HW, radius, epsilon)
    return slope * guide_HW.astype(np.float32) + offset


def lines(guide_HW: np.ndarray, mask_HW: np.ndarray, radius: int, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """(slope, offset) at every pixel of the line from the guide's values to the mask's; arguments as of `guided_filter`."""

    def mean(x: np.ndarray) -> np.ndarray:
        return uniform_filter(x, 2 * radius + 1, mode="nearest")

    guide, mask = guide_HW.astype(np.float32), mask_HW.astype(np.float32)
    mean_guide, mean_mask = mean(guide), mean(mask)
    variance = mean(guide * guide) - mean_guide**2
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (np.maximum(variance, 0) + epsilon)
    return mean(slope), mean(mean_mask - slope * mean_guide)


def filtered_map(map_hw: np.ndarray, guide_HW: np.ndarray, patches: float, epsilon: float = FLAT) -> np.ndarray:
    """A map of patches at the picture's size, smoothed along its borders by the fast guided filter; (H, W) float32 in [0, 1].

    Args:
        map_hw: float in [0, 1].
        guide_HW: grey picture in [0, 1]; its sides are multiples of those of the map.
        patches: radius of a window, in patches; 0 enlarges the map and no more.
        epsilon: as in `guided_filter`.
    """
    radius, (h, w) = round(patches * FITS), map_hw.shape
    if not radius:
        return enlarged(map_hw, guide_HW.shape)
    small = block_means(guide_HW, (FITS * h, FITS * w))
    slope, offset = resized(np.stack(lines(small, enlarged(map_hw, small.shape), radius, epsilon)), guide_HW.shape, "bilinear")
    return np.clip(slope * guide_HW + offset, 0, 1)


def block_means(picture_HW: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) float32 means over the blocks of a picture whose sides are multiples of these."""
    if any(side % n for side, n in zip(picture_HW.shape, shape)):
        return resized(picture_HW[None], shape, "area")[0]
    picture = torch.from_numpy(np.ascontiguousarray(picture_HW, dtype=np.float32))
    block = (picture_HW.shape[0] // shape[0], picture_HW.shape[1] // shape[1])
    return F.avg_pool2d(picture[None], block)[0].numpy()  # four times as fast as mode "area"


def enlarged(map_hw: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map of patches at a picture's (H, W): bilinear, each value in the middle of its patch."""
    return resized(map_hw[None], shape, "bilinear")[0]


def resized(maps_Chw: np.ndarray, shape: tuple[int, int], mode: str) -> np.ndarray:
    """(C, *shape) float32 maps at another size. mode: of `torch.nn.functional.interpolate`."""
    maps = torch.from_numpy(np.ascontiguousarray(maps_Chw, dtype=np.float32))[None]
    corners = False if mode == "bilinear" else None  # values lie in the middle of their cells
    return F.interpolate(maps, shape, mode=mode, align_corners=corners)[0].numpy()


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
