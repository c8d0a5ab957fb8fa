"""Objects in photos by a detector: boxes with classes and scores in pixels of the upright originals.

Axes: M photos, R objects.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from selflabel.contract import Detections, Detector
from selflabel.items import Piece
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import BLOCK, NOTHING, Found, Object, as_regions
from selflabel.jobs.known_regions import scales
from selflabel.jobs.prepare.photos import Photos
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks

LEAST_SIDE = 1.0  # pixels of the original


@torch.no_grad()
def detect_objects(photos: Photos, detector: Detector, classes: np.ndarray, device: torch.device, callbacks: Callbacks) -> Found:
    """The objects of photos, a block of them at a time.

    Args:
        photos: decoded.
        detector: in eval mode, on the device.
        classes: (K,) the label of each of its classes.
        device: of the detector.
        callbacks: progress.
    """
    data = ResidentData({"image": photos.modality.stored()}, device, Ranks(), 0)
    objects: list[Object] = []
    labels: list[int] = []
    skipped: list[tuple[str, str]] = []
    factors, n = scales(photos), len(photos.items)
    for rows in torch.arange(n).split(BLOCK):
        with data.autocast():
            found = detector.detect(data.view("image", rows, "centre", 0).pixels)
        for row, one in zip(rows.tolist(), found):
            own = objects_in(row, one, photos.sizes[row], factors[row])
            objects += [item for item, _ in own]
            labels += [int(classes[label]) for _, label in own]
            if not own:
                skipped.append((photos.items.paths[row], NOTHING))
        callbacks.on_progress("detecting objects", int(rows[-1]) + 1, n)
    return Found(replace(as_regions(objects), labels=np.array(labels, np.int64)), skipped)


def objects_in(row: int, found: Detections, size: np.ndarray, factors: np.ndarray) -> list[tuple[Object, int]]:
    """The objects of one photo, each with its class; what lies beside the photo is left out.

    Args:
        row: of the photo.
        found: in its square.
        size: (width, height) of the upright original.
        factors: (2,) from its pixels to fractions of the square.
    """
    limits = np.tile(size, 2).astype(np.float64)
    boxes = np.clip(found.boxes_R4.cpu().double().numpy() / np.tile(factors, 2), 0, limits)
    large = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(axis=1)
    scores, labels, features = (x.cpu().numpy() for x in (found.scores_R.float(), found.labels_R, found.features_RD.float()))
    width, height = int(size[0]), int(size[1])
    return [
        (Object(row, Piece(box=tuple(boxes[i].tolist()), size=(width, height)), float(scores[i]), features[i]), int(labels[i]))
        for i in np.flatnonzero(large).tolist()
    ]
