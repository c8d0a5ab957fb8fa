"""A class for every pixel of a picture from soft maps of its patches, and the connected regions of one class.

The soft maps are enlarged and smoothed along the borders of the picture by a guided filter, every pixel takes the class that is
highest there, and pieces that are too small to look at take the class around them.

Axes: K classes, h x w patches, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects
from scipy.ndimage import label as label_components

from selflabel.regions.guided import filtered_map

RADIUS = 1.0  # patches, of the filter's windows
GUIDED_FROM = 0.05  # of a class; one that is less probable in every patch is enlarged only


class ClassRegion(NamedTuple):
    """A connected region of one class. label: of the class. rows, columns: of its box. inside: bool, its pixels in the box."""

    label: int
    rows: slice
    columns: slice
    inside: np.ndarray


def pixel_classes(soft_Khw: np.ndarray, guide_HW: np.ndarray) -> np.ndarray:
    """(K, H, W) float32, the probabilities of patches as those of pixels; they need not sum to one.

    Args:
        soft_Khw: probabilities of the patches.
        guide_HW: grey picture in [0, 1]; its sides are multiples of those of the map.
    """
    radii = np.where(soft_Khw.max(axis=(1, 2)) >= GUIDED_FROM, RADIUS, 0)
    return np.stack([filtered_map(soft, guide_HW, radius) for soft, radius in zip(soft_Khw, radii)])


def without_specks(classes_HW: np.ndarray, least: float) -> np.ndarray:
    """Classes in which connected pieces of fewer than `least` pixels have the class of the nearest pixel of a larger piece.

    Where all pieces are as small, they stay as they are.

    Example:
        >>> without_specks(np.array([[1, 1, 1, 1], [1, 2, 1, 3], [1, 1, 1, 3]]), 2).tolist()
        [[1, 1, 1, 1], [1, 1, 1, 3], [1, 1, 1, 3]]
    """
    is_speck = np.zeros(classes_HW.shape, bool)
    for region in connected_regions(classes_HW):
        if region.inside.sum() < least:
            is_speck[region.rows, region.columns] |= region.inside
    if is_speck.all() or not is_speck.any():
        return classes_HW
    nearest = distance_transform_edt(is_speck, return_distances=False, return_indices=True)
    return classes_HW[tuple(nearest)]


def connected_regions(classes_HW: np.ndarray) -> Iterator[ClassRegion]:
    """The regions of every class, class by class; pixels that share an edge hang together.

    Args:
        classes_HW: integers; no region is made of those below 0.
    """
    for label in np.unique(classes_HW[classes_HW >= 0]).tolist():
        pieces, _ = label_components(classes_HW == label)
        for number, (rows, columns) in enumerate(find_objects(pieces), 1):
            yield ClassRegion(label, rows, columns, pieces[rows, columns] == number)
