"""Regions of heatmaps as pieces of the originals, and the heatmaps as bytes, in one pass over a set.

Axes: B items of a block, C channels, D features, F frames, h x w places, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from selflabel.base.rle import encode
from selflabel.contract import Localiser
from selflabel.decode.fitting import film_sizes
from selflabel.decode.letterbox import shown_size
from selflabel.decode.limits import Limits
from selflabel.items import Piece
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import NOTHING, Found, Object, as_regions
from selflabel.jobs.heatmaps import Heat, heat_of
from selflabel.jobs.prepare import Prepared
from selflabel.regions.boxes import box_of
from selflabel.regions.heatmap import heat_regions
from selflabel.runs.maps import MapsInfo, write_maps, write_rows
from selflabel.training.data import ResidentData

BLOCK = 64  # items whose heatmaps are in memory at a time
MOST, MIN_AREA = 3, 0.01  # regions of a heatmap, and the share of it that each but the first has at least
ALSO = 0.5  # highest value from which on a class is found beside the one that is highest
APART = "its picture and its sound have no seconds in common"
UNTIMED = "which of its seconds are stored is not known"


class Regioner:
    """Collects the regions of heatmaps, block after block.

    Args:
        prepared: the set.
        sizes: (N, 2) width and height of the upright originals.
        n_channels: of a heatmap.
        apart: why an item without known seconds has none.
    """

    def __init__(self, prepared: Prepared, sizes: np.ndarray, n_channels: int, apart: str = APART):
        first = prepared.first
        self.paths, self.px, self.whole, self.sizes = prepared.items.paths, first.px, first.whole, sizes
        self.n_channels, self.apart = n_channels, apart
        self.objects: list[Object] = []
        self.labels: list[int] = []
        self.skipped: list[tuple[str, str]] = []

    def add(self, rows: torch.Tensor, heat: Heat) -> None:
        """The regions of the items at these rows."""
        B, C, n_frames, _, _ = heat.maps.shape
        large = F.interpolate(heat.maps.flatten(0, 2)[:, None], size=(self.px, self.px), mode="bilinear")
        large_BCFyx, places = large.view(B, C, n_frames, self.px, self.px).numpy(), heat.places.numpy()
        for i, row in enumerate(rows.tolist()):
            if n_frames > 1 and bool(heat.spans_s[i].isnan().any()):
                self.skipped.append((self.paths[row], self.apart))
                continue
            before = len(self.objects)
            for f in range(n_frames):
                span = tuple(heat.spans_s[i, f].tolist()) if n_frames > 1 else None
                self.add_frame(row, large_BCFyx[i, :, f], places[i, :, f], span)
            if len(self.objects) == before:
                self.skipped.append((self.paths[row], NOTHING))

    def add_frame(self, row: int, large_Cyx: np.ndarray, places_Dhw: np.ndarray, span: tuple[float, float] | None) -> None:
        """The regions of one picture or frame."""
        size = (int(self.sizes[row][0]), int(self.sizes[row][1]))
        width, height = shown_size(size, self.px) if self.whole else (self.px, self.px)
        shown_Cyx = large_Cyx[:, :height, :width]
        peaks = shown_Cyx.max(axis=(1, 2))
        for c in np.flatnonzero((peaks >= ALSO) | (peaks >= peaks.max())).tolist():
            for region in heat_regions(shown_Cyx[c], MOST, MIN_AREA):
                mask = in_original(region.mask, size, self.whole)
                x0, y0, x1, y1 = map(float, box_of(mask))
                if x1 > x0:
                    piece = Piece(span, (x0, y0, x1, y1), size, encode(mask))
                    self.objects.append(Object(row, piece, region.score, self.described(region.mask, places_Dhw)))
                    self.labels.append(c)

    def described(self, mask_yx: np.ndarray, places_Dhw: np.ndarray) -> np.ndarray:
        """(D,) the mean of the features of a region's places, each counted by how much of it is inside."""
        D, h, w = places_Dhw.shape
        y, x = np.nonzero(mask_yx)
        inside = np.bincount((y * h // self.px) * w + x * w // self.px, minlength=h * w).astype(np.float32)
        return places_Dhw.reshape(D, h * w) @ inside / inside.sum()

    def found(self) -> Found:
        """All regions, and the items without one."""
        regions = as_regions(self.objects)
        return Found(replace(regions, labels=np.array(self.labels, np.int64)) if self.n_channels > 1 else regions, self.skipped)


def in_original(mask_yx: np.ndarray, size: tuple[int, int], whole: bool) -> np.ndarray:
    """(H, W) bool of the upright original.

    Args:
        mask_yx: bool, of what is shown of the picture.
        size: (width, height) of the original.
        whole: whether all of it is shown; else its middle square.
    """
    side = min(size)
    levels = Image.fromarray(mask_yx.astype(np.uint8) * 255).resize(size if whole else (side, side), Image.Resampling.BILINEAR)
    inside = np.asarray(levels) > 127
    if whole:
        return inside
    full, left, top = np.zeros(size[::-1], bool), (size[0] - side) // 2, (size[1] - side) // 2
    full[top : top + side, left : left + side] = inside
    return full


def sizes_of(prepared: Prepared, limits: Limits, callbacks: Callbacks) -> np.ndarray:
    """(N, 2) width and height of the upright originals of pictures or films."""
    if prepared.first.sizes is not None:
        return prepared.first.sizes
    progress = partial(callbacks.on_progress, "looking at the films")
    return film_sizes(prepared.items.blobs["video"], limits, progress, callbacks.say)


def find_regions(
    folder: Path | None, method: Localiser, data: ResidentData, prepared: Prepared, sizes: np.ndarray, callbacks: Callbacks
) -> Found:
    """The regions of all items.

    Args:
        folder: of the run, into which the heatmaps are written; None writes none.
        method: trained, in eval mode.
        data: the set, on one rank.
        prepared: the set.
        sizes: (N, 2) of the upright originals.
        callbacks: progress.
    """
    regioner = Regioner(prepared, sizes, len(method.channels), APART if method.hears else UNTIMED)
    blocks = heat_blocks(method, data, regioner, partial(callbacks.on_progress, "finding what sounds"))
    if folder is None:
        for _ in blocks:
            pass
        return regioner.found()
    C, n_frames, h, w = heat_of(method, data, torch.arange(1)).maps.shape[1:]
    geometry = "letterbox" if prepared.first.whole else "square"
    info = MapsInfo.between(np.zeros(C), np.ones(C), geometry=geometry, frames=n_frames, names=method.channels)
    write_maps(folder, (data.n_items, C, n_frames * h, w), info, blocks)
    found = regioner.found()
    write_rows(folder, found.regions.rows)
    return found


def heat_blocks(
    method: Localiser, data: ResidentData, regioner: Regioner, progress: Callable[[int, int], None]
) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, (B, C, F * h, w) heatmaps) of every block, whose regions are collected on the way."""
    for rows in torch.arange(data.n_items).split(BLOCK):
        heat = heat_of(method, data, rows)
        regioner.add(rows, heat)
        yield int(rows[0]), heat.maps.flatten(2, 3).numpy()
        progress(int(rows[-1]) + 1, data.n_items)
