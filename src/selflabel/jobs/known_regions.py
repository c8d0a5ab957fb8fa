"""What a run teaches: its photos, the boxes and masks that are its items, and their classes as people left them.

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
from selflabel.items import Items, Pieces
from selflabel.jobs.prepare.photos import Photos
from selflabel.jobs.run_source import items_of_rows
from selflabel.runs.run import Run

LEAST_PHOTOS = 2  # with a region


@dataclass(frozen=True)
class RunRegions:
    """The photos of a run and its regions, by photo.

    Attributes:
        photos: (M,) whole photos, also those of which every region was rejected.
        rows: (R,) int64 place of each region's photo in `photos`, ascending.
        pieces: (R,) their boxes, and masks where the run has them.
        labels: (R,) int64 clusters of the run; -1 of one that was rejected or is an outlier.
        confidences: (R,) of the labels.
        names: cluster to its name, of those that have one.
    """

    photos: Items
    rows: np.ndarray
    pieces: Pieces
    labels: np.ndarray
    confidences: np.ndarray
    names: dict[int, str]

    @property
    def kept(self) -> np.ndarray:
        """(K,) int64 places of the regions that were not rejected."""
        return np.flatnonzero(self.labels >= 0)

    @property
    def classes(self) -> np.ndarray:
        """(K,) the clusters that have regions, ascending."""
        return np.unique(self.labels[self.kept])

    def digest(self, with_masks: bool) -> str:
        """A short text that is another one where anything is another that is learned from. with_masks: of more than boxes."""
        kept, paths = self.kept, np.array(self.photos.paths, np.str_)
        parts = [self.rows[kept], self.pieces.boxes[kept].round(3), self.labels[kept], paths]
        if with_masks:
            masks = np.array([mask.counts if mask else b"" for mask in self.pieces.masks], np.bytes_)
            parts += [self.rows, self.pieces.boxes.round(3), masks, self.confidences]
        return hashlib.blake2b(b"|".join(np.ascontiguousarray(part).tobytes() for part in parts), digest_size=8).hexdigest()


def regions_of_run(run: Run, follow_links: bool = False) -> RunRegions:
    """What can be learned from a run, with what people moved, renamed, merged and rejected.

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
        raise UserError(f"{run.folder}: its items are no boxes in photos, but in films; teach learns from photos.")
    place = {path: i for i, path in enumerate(items.paths)}
    rows = np.array([row for row, path in enumerate(paths) if path in place], np.int64)
    kept = [row for row in rows.tolist() if labels[row] >= 0]
    if len({paths[row] for row in kept}) < LEAST_PHOTOS:
        raise UserError(
            f"{run.folder}: teach learns from regions in {LEAST_PHOTOS} photos at least, and this run has too few that are "
            "there and not rejected."
        )
    rows = rows[np.argsort([place[paths[row]] for row in rows.tolist()], kind="stable")]
    return RunRegions(
        replace(items.only(["image"]).whole(), notes=[]),
        np.array([place[paths[row]] for row in rows.tolist()], np.int64),
        pieces.take(rows.tolist()),
        np.array([labels[row] for row in rows.tolist()], np.int64),
        table["confidence"].to_numpy()[rows].astype(np.float32),
        {labels[row]: names[row] for row in kept if names[row]},
    )


def known_boxes_of(regions: RunRegions, photos: Photos) -> tuple[KnownBoxes, np.ndarray]:
    """(the boxes in photos that could be decoded, as fractions of the squares that show these; the cluster of each class).

    Raises:
        UserError: too few of them could be.
    """
    rows, kept, classes = decoded_rows(regions, photos), regions.kept, regions.classes
    kept = kept[rows[kept] >= 0]
    kept = kept[np.argsort(rows[kept], kind="stable")]
    boxes = regions.pieces.boxes[kept] * np.tile(scales(photos), 2)[rows[kept]]
    labels = np.searchsorted(classes, regions.labels[kept])
    tensors = (torch.from_numpy(rows[kept]), torch.from_numpy(boxes).float().clamp(0, 1), torch.from_numpy(labels))
    return KnownBoxes(*tensors), classes


def decoded_rows(regions: RunRegions, photos: Photos) -> np.ndarray:
    """(R,) the row of each region's photo among the decoded ones; -1 where it could not be decoded.

    Raises:
        UserError: too few photos with regions could be.
    """
    place = {path: i for i, path in enumerate(photos.items.paths)}
    rows = np.array([place.get(regions.photos.paths[row], -1) for row in regions.rows.tolist()], np.int64)
    known = rows[regions.kept]
    if len(np.unique(known[known >= 0])) < LEAST_PHOTOS:
        raise UserError(f"{regions.photos.source}: fewer than {LEAST_PHOTOS} of its photos with regions can be read.")
    return rows


def scales(photos: Photos) -> np.ndarray:
    """(M, 2) factors from pixels of upright originals to fractions of the squares, of x and y."""
    px = photos.modality.px
    shown = np.array([shown_size((int(w), int(h)), px) for w, h in photos.sizes.tolist()], np.float64)
    return shown / photos.sizes / px
