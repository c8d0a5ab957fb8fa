"""Objects in one picture by normalised cuts of its patches, one after the other.

TokenCut (Wang et al., CVPR 2022): patches that are alike are joined, and the second eigenvector of the graph parts the object
from the rest. MaskCut (Wang et al., CVPR 2023, CutLER) cuts again for further objects and sets the features of the patches that
were found to zero; such patches stay in the graph as nodes without neighbours, which the next eigenvector may pick. Here they
leave the graph, and so do scraps that are too small for an object.

Axes: h x w patches, N = h w of them, D features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import label as label_components

from selflabel.regions.spectrum import second_vector

LEAST_PATCHES = 3  # of a graph that can be parted
FLIPPING_CORNERS = 3  # corners of the picture that no object has (MaskCut)
SCRAPS = 4  # small pieces in a row that are put aside before the search ends


class Cut(NamedTuple):
    """One object. mask: (h, w) bool, its patches. score: 0 to 1, `apartness` divided by its place: the first is the surest."""

    mask: np.ndarray
    score: float


def cosines(features_ND: np.ndarray) -> np.ndarray:
    """(N, N) float32 cosines of all pairs; 0 with a patch that is all zeros."""
    lengths = np.linalg.norm(features_ND, axis=1, keepdims=True)
    unit = np.divide(features_ND, lengths, out=np.zeros(features_ND.shape, np.float32), where=lengths > 0)
    return unit @ unit.T


def alike(features_ND: np.ndarray, tau: float) -> np.ndarray:
    """(N, N) float32, 1 where the cosine of two patches is above tau, and on the diagonal; else 0."""
    graph = (cosines(features_ND) > tau).astype(np.float32)
    np.fill_diagonal(graph, 1)
    return graph


def threshold_above(features_hwD: np.ndarray, share: float) -> float:
    """The cosine that this share of the pairs of patches exceed."""
    all_pairs = cosines(features_hwD.reshape(-1, features_hwD.shape[2]).astype(np.float32))
    pairs = all_pairs[np.triu_indices(len(all_pairs), 1)]
    return float(np.quantile(pairs, 1 - share)) if len(pairs) else 1.0


def cut_objects(features_hwD: np.ndarray, most: int, tau: float, min_area: float) -> list[Cut]:
    """The objects of a picture, in the order in which they were cut.

    Args:
        features_hwD: float features of the patches; finite.
        most: objects, at most.
        tau: cosine above which two patches are alike.
        min_area: share of the patches that an object has at least.

    Returns:
        Objects that share no patch; fewer than `most` where what is left cannot be parted, or falls into scraps.

    Example:
        >>> field = np.zeros((4, 6, 2), np.float32); field[...] = [1, 0]; field[1:3, 2:4] = [0, 1]
        >>> (only,) = cut_objects(field, most=3, tau=0.2, min_area=0.01)
        >>> int(only.mask.sum()), bool(only.mask[1, 2])
        (4, True)
    """
    shape = features_hwD.shape[:2]
    graph_NN = alike(features_hwD.reshape(-1, features_hwD.shape[2]).astype(np.float32), tau)
    left, found, scraps = np.ones(shape, bool), list[Cut](), 0
    least = max(1.0, min_area * left.size)
    while len(found) < most and scraps < SCRAPS and left.sum() >= max(LEAST_PATCHES, least):
        rows = np.flatnonzero(left.reshape(-1))
        inside = graph_NN if len(rows) == left.size else graph_NN[np.ix_(rows, rows)]
        if inside.all() or inside.sum() == len(rows):
            break  # all patches are alike, or none is like another: there is nothing to part
        mask = cut_once(inside, left)
        left = left & ~mask
        scraps = scraps + 1 if mask.sum() < least else 0
        if not scraps:
            found.append(Cut(mask, apartness(graph_NN, mask) / (len(found) + 1)))
    return found


def cut_once(graph_NN: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(h, w) bool, the object that the second eigenvector parts from the rest.

    The two sides are divided at the eigenvector's mean. The side of the entry that is largest by size is the object (TokenCut),
    unless it holds three corners of the picture (MaskCut). Of that side the part around its largest entry is taken.

    Args:
        graph_NN: of the patches that are left, row by row.
        left: (h, w) bool, where these are.
    """
    y = second_vector(graph_NN).vector  # its largest entry by size is positive
    side = np.zeros(left.shape)
    side[left] = y - y.mean()
    if (side[[0, 0, -1, -1], [0, -1, 0, -1]] > 0).sum() >= FLIPPING_CORNERS:
        side = -side
    components, _ = label_components(side > 0)
    return components == components[np.unravel_index(side.argmax(), side.shape)]


def apartness(graph_NN: np.ndarray, mask_hw: np.ndarray) -> float:
    """The share of pairs of a patch inside and one outside that are not alike; 0 where nothing is outside.

    Args:
        graph_NN: of all patches of the picture.
        mask_hw: those of the object.
    """
    inside = mask_hw.reshape(-1)
    return 0.0 if inside.all() else float(1 - graph_NN[np.ix_(inside, ~inside)].mean())
