"""Regions of photos by a segmenter: the connected regions of each class, as those of `label --parts patches`.

Axes: B photos of a block, K classes, D features, h x w places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from selflabel.contract import Segmenter
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.dense import regions_of
from selflabel.jobs.finding import BLOCK, NO_NUMBERS, NOTHING, Found, Object, as_regions, size_of, without_padding
from selflabel.jobs.prepare.photos import Photos
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks


@torch.no_grad()
def segment_photos(
    photos: Photos, segmenter: Segmenter, classes: np.ndarray, device: torch.device, callbacks: Callbacks
) -> Found:
    """The regions of photos, a block of them at a time; their score is the mean probability of their class.

    Args:
        photos: decoded.
        segmenter: in eval mode, on the device.
        classes: (K,) the label of each of its classes, -1 of the background.
        device: of the segmenter.
        callbacks: progress.
    """
    objects: list[Object] = []
    labels: list[int] = []
    skipped: list[tuple[str, str]] = []
    for row, places_hwX, pixels_HWC in segmented(photos, segmenter, device):
        soft_Khw, features_hwD = places_hwX[..., : len(classes)].transpose(2, 0, 1), places_hwX[..., len(classes) :]
        before, reason = len(objects), "" if np.isfinite(places_hwX).all() else NO_NUMBERS
        if not reason:
            size, px = size_of(photos, row), photos.modality.px
            for region in regions_of(row, soft_Khw, features_hwD, pixels_HWC, size, px, classes):
                best = int(region.probabilities.argmax())
                objects.append(Object(row, region.piece, float(region.probabilities[best]), region.features))
                labels.append(int(classes[best]))
        if len(objects) == before:
            skipped.append((photos.items.paths[row], reason or NOTHING))
        callbacks.on_progress("segmenting photos", row + 1, len(photos.items))
    return Found(replace(as_regions(objects), labels=np.array(labels, np.int64)), skipped)


def segmented(photos: Photos, segmenter: Segmenter, device: torch.device) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(row, (h, w, K + D) probabilities and features of a photo's places, its pixels (H, W, C)), without padding."""
    data = ResidentData({"image": photos.modality.stored()}, device, Ranks(), 0)
    for rows in torch.arange(len(photos.items)).split(BLOCK):
        pixels = data.view("image", rows, "centre", 0).pixels
        with data.autocast():
            soft, maps = segmenter.segment(pixels)
        both = torch.cat([soft.float(), maps.float()], dim=1).cpu().numpy()
        squares = (pixels * 255).round().to(torch.uint8).cpu().numpy()
        for row, places, square in zip(rows.tolist(), both, squares):
            shown = without_padding(places, square, size_of(photos, row), "stages")
            yield row, shown.places_hwD, shown.pixels_HWC
