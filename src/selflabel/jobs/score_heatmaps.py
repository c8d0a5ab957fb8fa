"""Heatmaps of a run of `find` against boxes or masks that people drew; of class maps also DSOL's measures of mixed scenes.

Axes: N pictures, C channels, T classes that sound in a picture, K classes, S = SIDE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from selflabel.base.errors import UserError
from selflabel.evaluation.baselines import AREAS, centre_ellipse, centre_map
from selflabel.evaluation.bootstrap import Statistic, mean_of
from selflabel.evaluation.heatmaps import (
    SIDE,
    area_under,
    check_heatmap,
    class_ious,
    consensus_iou,
    dark_areas,
    drawn,
    guessed_ious,
    match_classes,
    maximum_inside,
    of_picture,
    silent_area,
    sounding_ious,
    top_half,
)
from selflabel.jobs.score_columns import Columns
from selflabel.runs.maps import Maps
from selflabel.runs.region_truth import TrueBoxes

DIGITS = 4  # after the point, of a heatmap's values: a byte has 256 levels
OF_REGIONS = " of regions"
HALF, THIRD = 0.5, 0.3  # IoUs from which on a picture counts as right
SHAPE = (SIDE, SIDE)
CENTRE, WHOLE = centre_map(SHAPE), np.ones(SHAPE)


def picture_maps(maps: Maps, row: int, size: tuple[int, int]) -> np.ndarray:
    """(C, S, S) the heatmaps of a picture, or of the frame in the middle of a film.

    Raises:
        UserError: they are no heatmaps, which have values in 0 to 1.
    """
    values = np.round(maps.values(np.array([row]))[0], DIGITS)
    middle = np.split(values, maps.info.frames, axis=1)[maps.info.frames // 2]
    try:
        check_heatmap(middle)
    except ValueError as error:
        raise UserError(f"the maps of this run are no heatmaps: {error}; label its objects instead.") from error
    return np.stack([of_picture(one, size, maps.info.geometry) for one in middle])


@dataclass
class Overlaps:
    """How much something overlaps the truth, picture by picture."""

    ious: list[float] = field(default_factory=list)

    def add(self, inside_SS: np.ndarray, truth_SS: np.ndarray) -> None:
        """Add a picture. inside_SS: bool, what is taken for the object."""
        self.ious.append(consensus_iou(inside_SS, truth_SS))

    def statistics(self, ending: str = "") -> dict[str, Statistic]:
        """The share of pictures with a cIoU of a half, and the area under it."""
        ious = np.array(self.ious, np.float64)
        area = Statistic(len(ious), lambda counts: area_under(ious, counts))
        return {f"cIoU@.5{ending}": mean_of(ious >= HALF), f"AUC{ending}": area}


@dataclass
class MapOverlaps(Overlaps):
    """The same of the brighter halves of heatmaps, and the share of their brightest pixels that lie on the truth."""

    on_it: list[float] = field(default_factory=list)

    def add(self, inside_SS: np.ndarray, truth_SS: np.ndarray) -> None:
        """Add a picture. inside_SS: its heatmap."""
        super().add(top_half(inside_SS), truth_SS)
        self.on_it.append(maximum_inside(inside_SS, truth_SS))

    def statistics(self, ending: str = "") -> dict[str, Statistic]:
        """See the class."""
        return {"maximum on it": mean_of(np.array(self.on_it)), **super().statistics(ending)}


class HeatScores:
    """The numbers of heatmaps and of their regions, of the middle and of the whole, collected picture by picture."""

    def __init__(self) -> None:
        self.maps = {"run": MapOverlaps(), "centre": MapOverlaps(), "whole": MapOverlaps()}
        self.regions = {column: Overlaps() for column in ("run", *map(str, AREAS), "whole")}

    def add(self, map_SS: np.ndarray, regions_SS: np.ndarray, truth_SS: np.ndarray) -> None:
        """Add a picture.

        Args:
            map_SS: its heatmap, of several channels the highest.
            regions_SS: bool, its regions together.
            truth_SS: bool, with at least a pixel.
        """
        for column, heat in {"run": map_SS, "centre": CENTRE, "whole": WHOLE}.items():
            self.maps[column].add(heat, truth_SS)
        ellipses = {str(area): centre_ellipse(SHAPE, area) for area in AREAS}
        for column, inside in ({"run": regions_SS, "whole": WHOLE > 0} | ellipses).items():
            self.regions[column].add(inside, truth_SS)

    @property
    def n(self) -> int:
        """N."""
        return len(self.maps["run"].ious)

    def columns(self) -> Columns:
        """The numbers."""
        maps = {column: overlaps.statistics() for column, overlaps in self.maps.items()}
        regions = {column: overlaps.statistics(OF_REGIONS) for column, overlaps in self.regions.items()}
        centres = [maps["centre"], *(regions[str(area)] for area in AREAS)]
        return Columns(maps["run"] | regions["run"], centres, maps["whole"] | regions["whole"])


# ------------------------------------------------------------------------------------------------ classes of mixed scenes


class Scenes:
    """Class maps of pictures in which several things are seen and some are heard, collected picture by picture.

    Args:
        classes: the names of all true classes.
    """

    def __init__(self, classes: Sequence[str]):
        self.numbers = {name: k for k, name in enumerate(classes)}
        self.parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"run": [], "centre": [], "whole": []}
        self.sounding: list[np.ndarray] = []
        self.guessed: list[float] = []

    def add(self, maps_CSS: np.ndarray, true: TrueBoxes, size: tuple[int, int]) -> None:
        """Add a picture. Those in which no class sounds do not count."""
        names = sorted(set(true.classes) - {""})
        truths = np.stack([drawn(true.boxes[[c == name for c in true.classes]], size) for name in names])
        sounds = np.array([bool(true.sounds[[c == name for c in true.classes]].any()) for name in names])
        for name, maps in {"run": maps_CSS, "centre": CENTRE[None], "whole": WHOLE[None]}.items():
            self.parts[name].append((class_ious(maps, truths[sounds]), dark_areas(maps)))
        self.sounding.append(np.array([self.numbers[n] for n, s in zip(names, sounds.tolist()) if s], np.int64))
        self.guessed.append(float((guessed_ious(truths, sounds) >= THIRD).mean()))

    def columns(self) -> Columns:
        """The numbers."""
        return Columns(self.statistics("run"), [self.statistics("centre")], self.statistics("whole"))

    def rows(self) -> dict[str, dict[str, float | None]]:
        """As of `Columns`; beside CIoU@.3 "guessed" is that of the true places where which class is where is guessed."""
        rows = self.columns().rows()
        rows["CIoU@.3"]["guessed"] = float(np.mean(self.guessed))
        return rows

    def statistics(self, column: str) -> dict[str, Statistic]:
        """CIoU@.3, its area, and the dark area of classes that do not sound."""
        ious, dark = zip(*self.parts[column])
        channels = match_classes(ious, self.sounding, len(self.numbers))
        mean_ious = np.array([sounding_ious(i, k, channels) for i, k in zip(ious, self.sounding)])
        silent = np.array([silent_area(d, k, channels) for d, k in zip(dark, self.sounding)])
        return {
            "CIoU@.3": mean_of(mean_ious >= THIRD),
            "CIoU AUC": Statistic(len(mean_ious), lambda counts: area_under(mean_ious, counts)),
            "NSA": mean_of(silent),
        }


def is_scene(true: TrueBoxes) -> bool:
    """Whether a class sounds in a picture, and others are seen."""
    named = np.array([bool(name) for name in true.classes], bool)
    return bool((true.sounds & named).any()) and len(set(true.classes) - {""}) > 1
