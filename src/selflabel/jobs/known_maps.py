"""What a segmenter learns from a run: which pixel of a photo lies in a region of which class.

A region is its mask, or its box where it has no mask; where regions overlap, the one with the surer label lies on top, as in the
class maps that are exported. Pixels of no region, and of rejected ones, are the background, a class of its own. A run whose
regions cover its photos, as one of `label --parts patches`, has no background; there the pixels of rejected regions are unknown.

Axes: M photos, R regions, S x S pixels of the square in which a photo is shown, made smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from selflabel.base.rle import Rle
from selflabel.contract import UNKNOWN, KnownMaps
from selflabel.items.skipped import Skipped
from selflabel.jobs.known_regions import RunRegions, decoded_rows, scales
from selflabel.jobs.prepare.photos import Photos

EVERY = 4  # pixels of the square, across and down, of which the class of one is known
NO_REGION = -1  # the cluster of pixels that lie in none, and such pixels in a map
LEFT_OVER = 0.01  # share of pixels in no region, not even a rejected one, from which on these are a class
REJECTED, BESIDE = -2, -3  # in a map: pixels of rejected regions alone, and beside the photo


def known_maps_of(regions: RunRegions, photos: Photos) -> tuple[KnownMaps, np.ndarray]:
    """(the classes of pixels of photos that could be decoded; the cluster of each class, NO_REGION for the background).

    Only photos with a region that was not rejected count.

    Raises:
        UserError: too few of them could be.
    """
    rows, classes = decoded_rows(regions, photos), regions.classes
    shown = np.unique(rows[regions.kept])
    shown = shown[shown >= 0]
    kind = np.int16 if len(classes) < np.iinfo(np.int16).max else np.int32
    values = np.where(regions.labels < 0, REJECTED, np.searchsorted(classes, regions.labels)).astype(kind)
    order = np.lexsort((regions.confidences, regions.labels >= 0, rows))  # by photo, and there the surest last
    ends = np.searchsorted(rows[order], shown, side="right")
    own = [order[first:end] for first, end in zip(np.searchsorted(rows[order], shown), ends)]
    side, shares_M2 = -(-photos.modality.px // EVERY), (scales(photos) * photos.sizes)[shown]
    pieces, fractions = regions.pieces, regions.pieces.fractions
    maps_MSS = np.stack(
        [drawn([*pieces.take(p.tolist()).masks], fractions[p], values[p], shares, side) for p, shares in zip(own, shares_M2)]
    )
    if (maps_MSS == NO_REGION).sum() > LEFT_OVER * (maps_MSS != BESIDE).sum():
        classes = np.append(NO_REGION, classes)
        maps_MSS[maps_MSS == REJECTED] = NO_REGION
        maps_MSS[maps_MSS != BESIDE] += 1
    maps_MSS[maps_MSS < 0] = UNKNOWN
    return KnownMaps(torch.from_numpy(shown), torch.from_numpy(maps_MSS)), classes


def without_damaged(regions: RunRegions) -> tuple[RunRegions, list[tuple[str, str]]]:
    """(the regions, those with a damaged mask as rejected boxes; such regions and why)."""
    labels, masks, skipped = regions.labels.copy(), list(regions.pieces.masks), list[tuple[str, str]]()
    for place, mask in enumerate(masks):
        try:
            _ = mask.runs if mask is not None else None
        except ValueError as error:
            labels[place], masks[place] = -1, None
            path = regions.photos.paths[int(regions.rows[place])]
            skipped.append(Skipped(path, f"its mask cannot be read ({error})", regions.pieces[place]))
    return replace(regions, labels=labels, pieces=replace(regions.pieces, masks=masks)), skipped


def drawn(
    masks: Sequence[Rle | None], fractions_R4: np.ndarray, values_R: np.ndarray, shares: np.ndarray, side: int
) -> np.ndarray:
    """(S, S) the value of each pixel of one photo, NO_REGION or BESIDE.

    Args:
        masks: of its regions, those on top last; None for all of a box; empty where none has one.
        fractions_R4: their boxes, as fractions of the photo.
        values_R: of the regions.
        shares: (2,) of the square's sides that the photo takes, across and down.
        side: S.
    """
    middles = (np.arange(side) + 0.5) / side
    x, y = (middles[middles < share] / share for share in shares.tolist())  # fractions of the photo
    whole = np.full((side, side), BESIDE, values_R.dtype)
    found = whole[: len(y), : len(x)]
    found[:] = NO_REGION
    for (x0, y0, x1, y1), mask, value in zip(fractions_R4, masks or [None] * len(values_R), values_R):
        columns, rows = slice(*np.searchsorted(x, [x0, x1])), slice(*np.searchsorted(y, [y0, y1]))
        found[rows, columns][True if mask is None else mask_at(mask, x[columns], y[rows])] = value
    return whole


def mask_at(mask: Rle, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(len(y), len(x)) bool, a mask at these fractions of its width and height. The mask is not decoded.

    Raises:
        ValueError: it is damaged.

    Example:
        >>> from selflabel.base.rle import encode
        >>> mask_at(encode(np.array([[0, 1], [1, 1]])), np.array([0.25, 0.75]), np.array([0.25])).tolist()
        [[False, True]]
    """
    columns, rows = (x * mask.width).astype(np.int64), (y * mask.height).astype(np.int64)
    return np.searchsorted(np.cumsum(mask.runs), columns[None] * mask.height + rows[:, None], side="right") % 2 == 1
