"""Objects in photos: maps a block at a time, a finder on each photo, and its masks in pixels of the upright originals.

Axes: B photos of a block, C channels, D features, h x w places, H x W pixels, R objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from selflabel.base.rle import encode
from selflabel.contract import Finder, Region, Regions, Shown, shares_inside
from selflabel.decode.letterbox import shown_size
from selflabel.items import Piece, Pieces
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.photos import Photos, map_layer
from selflabel.regions.boxes import box_of
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks

BLOCK = 16  # photos whose maps are in memory at a time
LEARNED = "finder."  # in the model file, before the names of what the finder learned
BLANK = 8  # levels between the darkest and the brightest pixel of a photo that shows nothing
NOTHING = "nothing was found in it"
NO_NUMBERS = "its features are no finite numbers"


@dataclass(frozen=True)
class Found:
    """What was found in a set of photos.

    Attributes:
        regions: the objects of all photos.
        skipped: (path, reason) of photos without an object.
    """

    regions: Regions
    skipped: list[tuple[str, str]]


class Object(NamedTuple):
    """An object: the row of its photo, its piece of it, its score and its features (D,)."""

    row: int
    piece: Piece
    score: float
    features: np.ndarray


@torch.no_grad()
def find_objects(photos: Photos, finder: Finder, encoder: nn.Module, device: torch.device, callbacks: Callbacks) -> Found:
    """The objects of photos, one photo after the other; no maps are kept.

    Args:
        photos: decoded.
        finder: built with its options.
        encoder: on the device, in eval mode.
        device: of the encoder.
        callbacks: progress.

    Raises:
        UserError: the encoder has no map that the finder can use.
    """
    px, paths = photos.modality.px, photos.items.paths
    objects: list[Object] = []
    skipped: list[tuple[str, str]] = []
    for row, shown in shown_photos(photos, finder.layers, encoder, device):
        size, reason = size_of(photos, row), why_not(shown)
        regions = [] if reason else finder.find(shown)
        own = [Object(row, piece, r.score, described(r, shown)) for r in regions if (piece := piece_of(r, shown, size, px))]
        objects += own
        if not own:
            skipped.append((paths[row], reason or NOTHING))
        callbacks.on_progress("finding objects", row + 1, len(paths))
    return Found(as_regions(objects), skipped)


def learn(photos: Photos, finder: Finder, encoder: nn.Module, device: torch.device, seed: int, callbacks: Callbacks) -> None:
    """Let a finder learn from the photos, in random order; see `Finder.fit`.

    Args:
        photos, finder, encoder, device, callbacks: as of `find_objects`.
        seed: of the order.
    """

    class Stream:
        def __iter__(self) -> Iterator[Shown]:
            order = torch.randperm(len(photos.items), generator=torch.Generator().manual_seed(seed))
            for n, (_, shown) in enumerate(shown_photos(photos, finder.layers, encoder, device, order)):
                callbacks.on_progress("learning from photos", n + 1, 0)
                if not why_not(shown):
                    yield shown

    finder.fit(Stream(), torch.Generator().manual_seed(seed))


def size_of(photos: Photos, row: int) -> tuple[int, int]:
    """(width, height) of a photo's upright original."""
    return int(photos.sizes[row][0]), int(photos.sizes[row][1])


def why_not(shown: Shown) -> str:
    """Why nothing can be found in a photo; "" where something might be."""
    if not has_contrast(shown.pixels_HWC[::8, ::8]) and not has_contrast(shown.pixels_HWC):  # the first one says yes of most
        return NOTHING
    return "" if np.isfinite(shown.places_hwD).all() else NO_NUMBERS


def has_contrast(pixels_HWC: np.ndarray) -> bool:
    """Whether some channel has values more than `BLANK` apart."""
    channels = (pixels_HWC[..., c] for c in range(pixels_HWC.shape[2]))  # numpy takes 20 times as long by axes
    return any(int(channel.max()) - int(channel.min()) > BLANK for channel in channels)


def as_regions(objects: Sequence[Object]) -> Regions:
    """Objects as columns."""
    scores = np.array([o.score for o in objects], np.float32)
    features = np.stack([o.features for o in objects]) if objects else np.zeros((0, 1), np.float32)
    return Regions(np.array([o.row for o in objects], np.int64), Pieces.of([o.piece for o in objects], scores), features)


@torch.no_grad()
def shown_photos(
    photos: Photos, layers: tuple[str, ...], encoder: nn.Module, device: torch.device, rows: torch.Tensor | None = None
) -> Iterator[tuple[int, Shown]]:
    """(row, photo without padding), from one block of photos at a time.

    Args:
        photos, encoder, device: as of `find_objects`.
        layers: maps of the encoder that can be used, the best one first.
        rows: which ones, in this order; None is all.

    Raises:
        UserError: as `find_objects`.
    """
    layer = map_layer(encoder, layers, photos.modality.px, photos.modality.channels)
    data = ResidentData({"image": photos.modality.stored()}, device, Ranks(), 0)
    for block in (torch.arange(len(photos.items)) if rows is None else rows).split(BLOCK):
        pixels = data.view("image", block, "centre", 0).pixels
        with data.autocast():
            maps, attention = encoder.attended_map(pixels, layer)  # type: ignore[operator]
        squares, maps = (pixels * 255).round().to(torch.uint8).cpu().numpy(), maps.float().cpu().numpy()
        attended = [None] * len(block) if attention is None else attention.float().cpu().numpy()
        for row, map_Dhw, square, weights in zip(block.tolist(), maps, squares, attended):
            yield row, without_padding(map_Dhw, square, size_of(photos, row), layer, weights)


def without_padding(
    map_Dhw: np.ndarray, pixels_Cyx: np.ndarray, size: tuple[int, int], layer: str, attention_Mhw: np.ndarray | None = None
) -> Shown:
    """The part of a square and of its map that shows the photo.

    A place at the edge counts where at least half of it shows the photo; the pixels are those of the places that count.

    Args:
        map_Dhw: of the square.
        pixels_Cyx: the square.
        size: (width, height) of the upright original.
        layer: which map it is.
        attention_Mhw: of the square, by head; None where there is none.
    """
    px = pixels_Cyx.shape[1]
    width, height = shown_size(size, px)
    steps = [px / n for n in map_Dhw.shape[1:]]
    h, w = (max(1, round(side / step)) for side, step in zip((height, width), steps))
    ends = [max(n, round(n * step)) for n, step in zip((h, w), steps)]
    pixels = pixels_Cyx[:, : ends[0], : ends[1]].transpose(1, 2, 0)
    attention = None if attention_Mhw is None else attention_Mhw[:, :h, :w]
    return Shown(np.ascontiguousarray(map_Dhw[:, :h, :w].transpose(1, 2, 0)), np.ascontiguousarray(pixels), layer, attention)


def piece_of(region: Region, shown: Shown, size: tuple[int, int], px: int) -> Piece | None:
    """An object's box and mask in pixels of the upright original; None where it has no pixel there.

    Args:
        region: on the pixels of `shown`.
        shown: the photo without padding.
        size: (width, height) of the upright original.
        px: side of the square in which the photo was shown.
    """
    width, height = shown_size(size, px)
    missing = [(0, max(0, side - have)) for side, have in zip((height, width), region.soft_HW.shape)]
    soft = region.soft_HW[:height, :width]
    if np.any(missing):
        soft = np.pad(soft, missing, mode="edge")
    levels = Image.fromarray(np.round(soft * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    mask = np.asarray(levels) > 127
    x0, y0, x1, y1 = box_of(mask)
    if x1 <= x0 or y1 <= y0:
        return None
    return Piece(box=(float(x0), float(y0), float(x1), float(y1)), size=size, mask=encode(mask))


def described(region: Region, shown: Shown) -> np.ndarray:
    """(E,) the object's own features, or the mean of those of its places, each counted by how much of it is inside."""
    if region.features is not None:
        return region.features
    weights, dim = shares_inside(region, shown), shown.places_hwD.shape[2]
    return np.average(shown.places_hwD.reshape(-1, dim), axis=0, weights=weights.reshape(-1)).astype(np.float32)
