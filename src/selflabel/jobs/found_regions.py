"""What a run of objects found in each picture, for `score`: boxes, masks, scores and labels, and the pictures without any.

Axes: P regions of a picture.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.rle import Rle
from selflabel.jobs.finding import NO_NUMBERS, NOTHING
from selflabel.jobs.predict import finder_of
from selflabel.jobs.score import labels_of
from selflabel.runs.picture_table import read_pictures
from selflabel.runs.reading import read_bounded
from selflabel.runs.run import Run

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class FoundIn:
    """What was found in one picture, by falling score.

    Attributes:
        size: of the upright original.
        boxes: (P, 4) in its pixels.
        scores: (P,) in [0, 1].
        labels: (P,) clusters.
        masks: (P,) of the original's size, None for a box without one.
    """

    size: Size
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Sequence[Rle | None]

    @classmethod
    def nothing(cls, size: Size) -> FoundIn:
        """Of a picture in which nothing was found."""
        return cls(size, np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), [])


def found_in_pictures(run: Run, raw: bool = False) -> tuple[dict[str, FoundIn], list[str]]:
    """(path to what was found in each picture in which was looked, sentences for the user); what people rejected is left out.

    Args:
        run: of objects.
        raw: without edits.
    """
    sizes, notes = pictures_of(run)
    pieces, labels, paths = run.pieces, labels_of(run, raw), run.paths.column.to_pylist()
    assert pieces is not None and pieces.scores is not None
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(labels >= 0).tolist():
        rows_of[paths[row]].append(row)
    found = {path: FoundIn.nothing(size) for path, size in sizes.items()}
    for path, own in rows_of.items():
        rows = np.array(own)[np.argsort(-pieces.scores[own], kind="stable")]
        w, h = pieces.sizes[rows[0]].tolist()
        masks = [pieces.masks[row] if pieces.has_masks else None for row in rows.tolist()]
        found[path] = FoundIn((w, h), pieces.boxes[rows], pieces.scores[rows].astype(np.float64), labels[rows], masks)
    return found, notes


def pictures_of(run: Run) -> tuple[dict[str, Size], list[str]]:
    """(path to size of all pictures in which was looked for objects, sentences for the user)."""
    try:
        finders = finder_of(run)
    except UserError:
        finders = None
    if finders is None:
        note = "the run that found its objects is not there, so pictures in which it found none are not counted"
        return own_pictures(run), [note]
    return read_pictures(finders.folder) or own_pictures(finders) | without_objects(finders), []


def own_pictures(run: Run) -> dict[str, Size]:
    """Path to size of the pictures that have an object."""
    assert run.pieces is not None
    sizes = {}
    for path, (w, h) in zip(run.paths.column.to_pylist(), run.pieces.sizes.tolist()):
        sizes[path] = (w, h)
    return sizes


def without_objects(run: Run) -> dict[str, Size]:
    """Path to size of the pictures that skipped.csv lists as without an object; the table has no sizes: that of most others."""
    assert run.pieces is not None
    text = io.StringIO(read_bounded(run.file("skipped.csv")).decode("utf-8", "replace"), newline="")
    common = np.median(run.pieces.sizes, axis=0).astype(int).tolist()
    return {row["path"]: (common[0], common[1]) for row in csv.DictReader(text) if row.get("reason") in (NOTHING, NO_NUMBERS)}
