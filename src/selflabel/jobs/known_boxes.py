"""What a detector learns from: the photos of a run, the boxes that are its items, and their classes as people left them.

Axes: M photos, R regions, K classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch

from selflabel.base.errors import UserError
from selflabel.contract import KnownBoxes
from selflabel.decode.letterbox import shown_size
from selflabel.items import Items
from selflabel.jobs.prepare.photos import Photos
from selflabel.jobs.run_source import items_of_rows
from selflabel.runs.run import Run

LEAST_PHOTOS = 2  # with a region


@dataclass(frozen=True)
class RunBoxes:
    """The photos of a run, and its regions that nobody rejected.

    Attributes:
        photos: (M,) whole photos, also those of which every region was rejected.
        rows: (R,) int64 place of each region's photo in `photos`, ascending.
        boxes: (R, 4) pixels of the upright originals.
        labels: (R,) int64 clusters of the run.
        names: cluster to its name, of those that have one.
    """

    photos: Items
    rows: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    names: dict[int, str]

    @property
    def classes(self) -> np.ndarray:
        """(K,) the clusters that have regions, ascending."""
        return np.unique(self.labels)

    @property
    def digest(self) -> str:
        """A short text that is another one where anything is another that a detector learns from."""
        parts = (self.rows, self.boxes.round(3), self.labels, np.array(self.photos.paths, np.str_))
        return hashlib.blake2b(b"|".join(np.ascontiguousarray(part).tobytes() for part in parts), digest_size=8).hexdigest()


def boxes_of_run(run: Run, follow_links: bool = False) -> RunBoxes:
    """What a detector can learn from a run, with what people moved, renamed, merged and rejected.

    Raises:
        UserError: its items are no boxes in photos, too few photos have one, or the photos cannot be found.
    """
    pieces = run.pieces
    if pieces is None or not np.isfinite(pieces.boxes).all():
        raise UserError(
            f"{run.folder}: its items are no boxes in photos; give a run of `selflabel find`, or one that labelled its objects."
        )
    table = run.labels
    paths, labels, names = (table[column].to_pylist() for column in ("path", "label", "name"))
    firsts = {path: row for row, path in reversed([*enumerate(paths)])}
    items = items_of_rows(run, np.array(sorted(firsts.values())), follow_links)
    if "image" not in items.modalities:
        raise UserError(f"{run.folder}: its items are no boxes in photos, but in films; detectors are trained on photos.")
    place = {path: i for i, path in enumerate(items.paths)}
    rows = np.array([row for row, path in enumerate(paths) if labels[row] >= 0 and path in place], np.int64)
    if len({paths[row] for row in rows.tolist()}) < LEAST_PHOTOS:
        raise UserError(
            f"{run.folder}: a detector learns from boxes in {LEAST_PHOTOS} photos at least, and this run has too few that are "
            "there and not rejected."
        )
    rows = rows[np.argsort([place[paths[row]] for row in rows.tolist()], kind="stable")]
    named = {labels[row]: names[row] for row in rows.tolist() if names[row]}
    return RunBoxes(
        replace(items.only(["image"]).whole(), notes=[]),
        np.array([place[paths[row]] for row in rows.tolist()], np.int64),
        pieces.boxes[rows],
        np.array([labels[row] for row in rows.tolist()], np.int64),
        named,
    )


def known_boxes_of(run_boxes: RunBoxes, photos: Photos) -> KnownBoxes:
    """The regions of photos that could be decoded, as fractions of the squares in which these are shown.

    Raises:
        UserError: too few of them could be.
    """
    place = {path: i for i, path in enumerate(photos.items.paths)}
    rows = np.array([place.get(run_boxes.photos.paths[row], -1) for row in run_boxes.rows.tolist()], np.int64)
    kept = rows >= 0
    rows = rows[kept]
    if len(np.unique(rows)) < LEAST_PHOTOS:
        raise UserError(f"{run_boxes.photos.source}: fewer than {LEAST_PHOTOS} of its photos with boxes can be read.")
    boxes = run_boxes.boxes[kept] * np.tile(scales(photos), 2)[rows]
    labels = np.searchsorted(run_boxes.classes, run_boxes.labels[kept])
    order = np.argsort(rows, kind="stable")
    return KnownBoxes(
        torch.from_numpy(rows[order]), torch.from_numpy(boxes[order]).float().clamp(0, 1), torch.from_numpy(labels[order])
    )


def scales(photos: Photos) -> np.ndarray:
    """(M, 2) factors from pixels of upright originals to fractions of the squares, of x and y."""
    px = photos.modality.px
    shown = np.array([shown_size((int(w), int(h)), px) for w, h in photos.sizes.tolist()], np.float64)
    return shown / photos.sizes / px
