"""What a detector or a segmenter is given to learn from: the boxes of a run's regions, or maps of their classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.contract import KnownBoxes, KnownMaps, RegionLearner, Segmenter
from selflabel.jobs.known_maps import NO_REGION, known_maps_of, without_damaged
from selflabel.jobs.known_regions import RunRegions, known_boxes_of
from selflabel.jobs.prepare.photos import Photos
from selflabel.runs.run import Run

LEARNED = "learned_from"  # the section of run.toml with what was learned from


@dataclass(frozen=True)
class Lesson:
    """What is learned.

    Attributes:
        known: boxes or maps.
        classes: (K,) the cluster of each class, ascending; NO_REGION for the background.
        regions: that it was made of.
        digest: of the regions, with masks where these count.
    """

    known: KnownBoxes | KnownMaps
    classes: np.ndarray
    regions: RunRegions
    digest: str

    @property
    def n_regions(self) -> int:
        """How many regions are learned from."""
        return len(self.regions.kept)

    @property
    def covers_photos(self) -> bool:
        """Whether every pixel is of a class of the run, so that what is found is a class map."""
        return isinstance(self.known, KnownMaps) and NO_REGION not in self.classes

    @property
    def record(self) -> dict[str, Any]:
        """The section of run.toml; classes are clusters of the run."""
        return {"classes": self.regions.classes.tolist(), "regions": self.n_regions, "digest": self.digest}


def lesson_for(make: type[RegionLearner], regions: RunRegions, photos: Photos) -> tuple[Photos, Lesson]:
    """(the photos, with regions whose masks are damaged among what was skipped; what a detector or segmenter learns of them).

    Raises:
        UserError: too few photos with regions could be decoded.
    """
    if not issubclass(make, Segmenter):
        return photos, Lesson(*known_boxes_of(regions, photos), regions, regions.digest(with_masks=False))
    digest = regions.digest(with_masks=True)
    sound, damaged = without_damaged(regions)
    items = replace(photos.items, skipped=[*photos.items.skipped, *damaged])
    return replace(photos, items=items), Lesson(*known_maps_of(sound, photos), sound, digest)


def check_begun(run: Run, source: Run, lesson: Lesson) -> None:
    """Raise UserError where an unfinished run was begun with other regions or classes than the run has now."""
    if (run.folder / "run.toml").exists() and run.recorded.get(LEARNED, {}).get("digest") != lesson.digest:
        raise UserError(
            f"{run.folder}: was begun with other regions or classes than {source.folder} has now; add --overwrite to start again."
        )
