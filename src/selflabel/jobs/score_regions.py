"""`selflabel score RUN --truth` of runs whose items are objects that were found: boxes and masks against those that people drew.

Beside every number stand those of the middle of the picture and of all of it. Axes: N pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.evaluation.baselines import AREAS, centre_box, centre_ellipse
from selflabel.evaluation.heatmaps import SIDE, drawn
from selflabel.evaluation.metrics import score
from selflabel.evaluation.region_scores import (
    Boxes,
    MaskScores,
    box_statistics,
    class_statistics,
    mask_scores_of,
    mask_statistics,
    mean_statistic,
)
from selflabel.jobs.found_regions import FoundIn, found_in_pictures
from selflabel.jobs.score_columns import Columns, Statistics
from selflabel.jobs.score_heatmaps import HeatScores, Scenes, is_scene, picture_maps
from selflabel.regions.boxes import box_ious
from selflabel.runs.maps import HIGHEST, Maps
from selflabel.runs.mask_file import NoMask, is_object, read_mask
from selflabel.runs.region_truth import BoxTable, TrueBoxes, has_boxes, mask_files, read_boxes
from selflabel.runs.run import Run

LARGEST_SIDE = 1024  # pixels; masks of larger pictures are scored at every second, third, ... pixel
SAME_SHAPE = 0.02  # difference of the ratios of sides up to which a mask is that of a picture
ALL, HEARD = "all objects", "objects that are heard"
HEAT, MIXED = "heatmaps", "heatmaps of classes"


def says_where(run: Run, truth: str | None) -> bool:
    """Whether a truth says where things are, and a run what it found: then regions are scored."""
    if truth in (None, "folders") or run.pieces is None or run.pieces.scores is None:
        return False
    return Path(truth).is_dir() or (Path(truth).is_file() and has_boxes(Path(truth)))


def score_regions(run: Run, truth: str, raw: bool = False) -> dict[str, Any]:
    """How well the regions of a run fit those that people drew.

    Args:
        run: finished, of objects that were found.
        truth: a table of boxes, or a folder of masks; see `runs.region_truth`.
        raw: ignore edits.

    Returns:
        n_pictures, that have a truth; n_true, their true objects (None of masks); n_without_truth, pictures of the run without
        one; not_in_run, pictures of the truth that the run does not have; bad, (what, why) of rows or masks that cannot be used;
        notes; and groups: "all objects", and where the truth says it "objects that are heard", to the numbers of each: value, low
        and high (95 of 100 redrawn sets lie between them; None from 500 pictures on), centre and whole. Where the run has
        classes, also classes, with the average precision of each, and labels, see `label_scores`.

    Raises:
        UserError: the truth cannot be read, or is of no picture of the run.
    """
    found, notes = found_in_pictures(run, raw)
    place = Path(truth)
    if place.is_dir():
        return score_masks(run, place, found) | {"notes": notes}
    table = read_boxes(place)
    scores = score_boxes(table, found, has_classes(run))
    heat = score_maps(run, table, found)
    return scores | {"groups": scores["groups"] | heat, "notes": notes + table.notes}


def has_classes(run: Run) -> bool:
    """Whether the objects of a run have more than one class."""
    return int(run.report.get("n_clusters") or 1) > 1


def no_picture(place: Path, first: str, found: Mapping[str, FoundIn]) -> UserError:
    """The error of a truth that is of no picture of the run."""
    return UserError(
        f"{place}: is of none of the run's pictures: its first is {first}, the run's {next(iter(found))}; "
        "write paths as in the run's labels.csv."
    )


# ------------------------------------------------------------------------------------------------------------------ boxes


def score_boxes(table: BoxTable, found: Mapping[str, FoundIn], with_classes: bool) -> dict[str, Any]:
    """See `score_regions`."""
    paths = [path for path in found if path in table.of]
    if not paths:
        raise no_picture(table.file, next(iter(table.of)), found)
    own, true = [found[path] for path in paths], [table.of[path] for path in paths]
    groups = {ALL: true}
    if table.says_sounding:
        groups[HEARD] = [t.those(t.sounds) for t in true]
    classes = sorted({name for t in true for name in t.classes if name}) if with_classes else []
    scores: dict[str, Any] = {
        "n_pictures": len(paths),
        "n_true": sum(len(t.boxes) for t in true),
        "n_without_truth": len(found) - len(paths),
        "not_in_run": [path for path in table.of if path not in found],
        "bad": table.bad,
        "groups": {name: group_scores(own, of_group, classes) for name, of_group in groups.items()},
    }
    if classes:
        by_class = class_statistics(*numbered(own, true, classes), len(classes))
        scores["classes"] = {name: statistic.of_all for name, statistic in zip(classes, by_class)}
        scores["labels"] = label_scores(*numbered(own, true, classes))
    return scores


def label_scores(found: Sequence[Boxes], true: Sequence[Boxes]) -> dict[str, Any] | None:
    """The scores of labels, as of `evaluation.metrics.score`: each object has the class of the true box that it overlaps most.

    Objects that overlap none do not count ("n_without_truth"); None where all overlap none.
    """
    classes, labels, missing = list[int](), list[int](), 0
    for f, t in zip(found, true):
        overlaps = box_ious(f.boxes, t.boxes)
        meets = overlaps.max(axis=1, initial=0) > 0
        of_best = t.labels[overlaps[meets].argmax(axis=1)] if meets.any() else np.zeros(0, np.int64)
        classes += of_best[of_best >= 0].tolist()
        labels += f.labels[meets][of_best >= 0].tolist()
        missing += len(f.boxes) - int((of_best >= 0).sum())
    return score(classes, labels) | ({"n_without_truth": missing} if missing else {}) if labels else None


def group_scores(own: Sequence[FoundIn], true: Sequence[TrueBoxes], classes: Sequence[str]) -> dict[str, Any]:
    """The numbers of a group of true boxes."""
    centres = [[one_box(f, centre_box(f.size, area)) for f in own] for area in AREAS]
    whole = [one_box(f, centre_box(f.size, 1.0)) for f in own]
    columns = Columns(
        statistics_of(own, true, classes), [statistics_of(c, true, classes) for c in centres], statistics_of(whole, true, classes)
    )
    return columns.rows()


def one_box(found: FoundIn, box_14: np.ndarray) -> FoundIn:
    """A picture with one box in place of what was found in it."""
    return FoundIn(found.size, box_14, np.ones(1), np.zeros(1, np.int64), [None])


def statistics_of(own: Sequence[FoundIn], true: Sequence[TrueBoxes], classes: Sequence[str]) -> Statistics:
    """The numbers of boxes; with classes, where there are any."""
    found_boxes, true_boxes = numbered(own, true, classes)
    statistics = box_statistics(found_boxes, true_boxes)
    if classes:
        statistics["AP50 by class"] = mean_statistic(class_statistics(found_boxes, true_boxes, len(classes)))
    return statistics


def numbered(own: Sequence[FoundIn], true: Sequence[TrueBoxes], classes: Sequence[str]) -> tuple[list[Boxes], list[Boxes]]:
    """Found and true boxes with numbers for labels; -1 is a true box without a class."""
    numbers = {name: k for k, name in enumerate(classes)}
    ends = [np.tile(f.size, 2) for f in own]
    found_boxes = [Boxes(f.boxes, f.scores, f.labels) for f in own]
    true_boxes = [
        Boxes(np.clip(t.boxes, 0, end), np.ones(len(t.boxes)), np.array([numbers.get(name, -1) for name in t.classes], np.int64))
        for t, end in zip(true, ends)
    ]
    return found_boxes, true_boxes


# --------------------------------------------------------------------------------------------------------------- heatmaps


def score_maps(run: Run, table: BoxTable, found: Mapping[str, FoundIn]) -> dict[str, Any]:
    """The numbers of a run's heatmaps, by the boxes of what is heard where the table says it; {} for a run without heatmaps."""
    maps = maps_of(run, found)
    if maps is None:
        return {}
    pictures = [path for path in found if path in table.of and len(table.of[path].those(table.of[path].sounds).boxes)]
    classes = sorted({name for path in pictures for name in table.of[path].classes if name})
    heat, scenes = HeatScores(), Scenes(classes)
    for path in pictures:
        own, true = found[path], table.of[path]
        channels = maps[path]
        heat.add(channels.max(axis=0), regions_in_square(own), drawn(true.those(true.sounds).boxes, own.size))
        if table.says_sounding and is_scene(true):
            scenes.add(channels, true, own.size)
    groups = {HEAT: heat.columns().rows()} if pictures else {}
    return groups | ({MIXED: scenes.rows()} if scenes.sounding else {})


class PictureMaps(Mapping[str, np.ndarray]):
    """Path of a picture to its heatmaps (C, S, S), read one at a time."""

    def __init__(self, maps: Maps, found: Mapping[str, FoundIn]):
        self.maps, self.found, self.rows = maps, found, {path: row for row, path in enumerate(found)}

    def __getitem__(self, path: str) -> np.ndarray:
        return picture_maps(self.maps, self.rows[path], self.found[path].size)

    @property
    def are_shares(self) -> bool:
        """Whether all values are from 0 to 1, as those of heatmaps are, and not features."""
        low, scale = self.maps.info.columns()
        return bool((low >= 0).all() and (low + scale * HIGHEST <= 1 + 1e-6).all())

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def maps_of(run: Run, found: Mapping[str, FoundIn]) -> PictureMaps | None:
    """The heatmaps of a run's pictures; None for a run without."""
    maps = run.maps
    return None if maps is None or len(maps.bytes) < len(found) else PictureMaps(maps, found)


def regions_in_square(found: FoundIn) -> np.ndarray:
    """(S, S) bool of all regions of a picture."""
    regions = np.zeros((SIDE, SIDE), bool)
    for mask, box in zip(found.masks, found.boxes):
        regions |= mask_like(mask, box, regions.shape, found.size)
    return regions


# ------------------------------------------------------------------------------------------------------------------ masks


def score_masks(run: Run, folder: Path, found: Mapping[str, FoundIn]) -> dict[str, Any]:
    """See `score_regions`; one mask is in memory at a time. Heatmaps are scored where a mask has an object."""
    files, bad = mask_files(folder, found), list[tuple[str, str]]()
    if not files:
        first = next(file.name for file in sorted(folder.rglob("*")) if file.suffix.lower() == ".png")
        raise no_picture(folder, first, found)
    rows: list[list[MaskScores]] = []  # of each picture those of the columns
    maps, heat = maps_of(run, found), HeatScores()
    has_heat = maps is not None and maps.are_shares
    for path, file in files.items():
        try:
            truth = true_mask(file, found[path].size)
        except NoMask as error:
            bad.append((file.relative_to(folder).as_posix(), str(error)))
            continue
        rows.append(scores_of_picture(found[path], truth))
        if maps is not None and has_heat and truth.any():
            heat.add(maps[path].max(axis=0), regions_in_square(found[path]), in_square(truth))
    if not rows:
        raise UserError(f"{folder}: none of its masks can be used; the first, {bad[0][0]}: {bad[0][1]}.")
    own, *centres, whole = (mask_statistics(column) for column in zip(*rows))
    n_files = len({file.resolve() for file in files.values()})
    unused = sum(file.suffix.lower() == ".png" for file in folder.rglob("*")) - n_files
    return {
        "n_pictures": len(rows),
        "n_true": None,
        "n_without_truth": len(found) - len(rows),
        "not_in_run": [f"{unused} masks"] if unused else [],
        "bad": bad,
        "groups": {ALL: Columns(own, centres, whole).rows()} | ({HEAT: heat.columns().rows()} if heat.n else {}),
    }


def true_mask(file: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of a mask, at most LARGEST_SIDE on a side. Raises NoMask where it cannot be that of a picture of this size."""
    mask = is_object(*read_mask(file))
    height, width = mask.shape
    if abs(width * size[1] / (height * size[0]) - 1) > SAME_SHAPE:
        raise NoMask(f"it has {width} x {height} pixels, and its picture {size[0]} x {size[1]}")
    step = -(-max(mask.shape) // LARGEST_SIDE)
    return mask[::step, ::step]


def scores_of_picture(found: FoundIn, truth_HW: np.ndarray) -> list[MaskScores]:
    """Of one picture: those of the run, of the middle in each size, and of the whole."""
    masks = [mask_like(mask, box, truth_HW.shape, found.size) for mask, box in zip(found.masks, found.boxes)]
    columns = [[centre_ellipse(truth_HW.shape, area)] for area in AREAS] + [[np.ones(truth_HW.shape, bool)]]
    return [mask_scores_of(masks, found.scores, truth_HW), *(mask_scores_of(c, np.ones(1), truth_HW) for c in columns)]


def mask_like(mask: Any, box: np.ndarray, shape: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """A region of a picture of this size as bool of a shape (H, W): its mask, or its box where it has none."""
    if mask is None:
        scaled = np.round(box * np.tile([shape[1] / size[0], shape[0] / size[1]], 2)).astype(int)
        inside = np.zeros(shape, bool)
        inside[scaled[1] : scaled[3], scaled[0] : scaled[2]] = True
        return inside
    return resized_mask(mask.decode(), shape)


def in_square(mask_HW: np.ndarray) -> np.ndarray:
    """(S, S) bool of a picture's mask with at least a pixel, also after the smallest objects would be lost."""
    square = resized_mask(mask_HW, (SIDE, SIDE))
    if not square.any():
        y, x = np.argwhere(mask_HW)[0]
        square[y * SIDE // mask_HW.shape[0], x * SIDE // mask_HW.shape[1]] = True
    return square


def resized_mask(mask_HW: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask at another size (H, W), by the nearest pixel."""
    if mask_HW.shape == tuple(shape):
        return mask_HW
    return np.array(Image.fromarray(mask_HW).resize((shape[1], shape[0]), Image.Resampling.NEAREST))
