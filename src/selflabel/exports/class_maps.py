"""class-maps: of every photo a PNG of the same size, whose values are classes, as tools for semantic segmentation read them.

maps/NAME.png has a palette, so that any viewer shows the classes in the colours of the page. classes.csv says which value is
which class, maps.csv which map is of which photo. Pixels of no region, or of a rejected one, are 255; where there are more than
255 classes, maps have 16 bits without a palette, and such pixels are 65535.

Axes: H x W pixels.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from selflabel.exports.context import Category, ExportContext, Item
from selflabel.exports.item_files import file_stem, unused_path
from selflabel.runs.class_maps import class_map_of
from selflabel.runs.missing import Missing
from selflabel.runs.run import csv_text

PALETTE = 3 * 256  # numbers
GOLDEN_ANGLE, FIRST_HUE = 137.508, 212  # degrees: colours of clusters as on the page (colours.js), on a light ground
LIGHTNESS, SATURATION = (0.46, 0.36, 0.56), (0.58, 0.48, 0.38)


def write(context: ExportContext, folder: Path) -> None:
    """Write a map for every photo, and what its values mean."""
    write_maps(folder, maps_of(context), context.categories)


def write_maps(folder: Path, maps: Iterable[tuple[Item, np.ndarray]], categories: Sequence[Category]) -> None:
    """Write maps, each with an item of its photo, and what their values mean."""
    (folder / "maps").mkdir()
    colours, places = [cluster_colour(category.cluster) for category in categories], []
    for item, class_map in maps:
        file = unused_path(folder / "maps", file_stem(item), item.row, ".png")
        as_picture(class_map, colours).save(file)
        places.append((item.path, f"maps/{file.name}"))
    (folder / "maps.csv").write_text(csv_text(["path", "map"], places), encoding="utf-8")
    classes = [(c.index, c.name, c.cluster, c.size) for c in categories]
    (folder / "classes.csv").write_text(csv_text(["value", "name", "cluster", "items"], classes), encoding="utf-8")


def maps_of(context: ExportContext) -> Iterator[tuple[Item, np.ndarray]]:
    """The first item and the map (H, W) of every photo; masks that are damaged are skipped and listed."""
    for _, of_photo in groupby(context.items_of(context.rows_by_file), key=lambda item: item.path):
        able = [item for item in of_photo if has_mask(context, item)]
        if able:
            pieces = [item.piece for item in able]
            values = [item.category.index for item in able]
            confidences = [item.confidence for item in able]
            yield able[0], class_map_of(pieces, values, confidences, len(context.categories))  # type: ignore[arg-type]


def has_mask(context: ExportContext, item: Item) -> bool:
    """Whether an item has a mask that can be read; one that has not is skipped and listed."""
    try:
        if item.piece is None or item.piece.mask is None:
            raise Missing("it has no mask")
        _ = item.piece.mask.runs
    except (Missing, ValueError) as error:
        context.skip(item, error if isinstance(error, Missing) else Missing(f"its mask cannot be read ({error})"))
        return False
    return True


def as_picture(class_map: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A map as a picture with a palette; one of 16 bits without."""
    picture = Image.fromarray(class_map)
    if class_map.dtype == np.uint8:
        values = [value for colour in colours for value in colour]
        picture.putpalette(values + [0] * (PALETTE - len(values)))  # a short one would make PNGs of fewer bits, which lose 255
    return picture


def cluster_colour(cluster: int) -> tuple[int, int, int]:
    """The colour of a cluster, red, green and blue from 0 to 255.

    Example:
        >>> cluster_colour(0)
        (49, 113, 185)
    """
    hue, ring = (cluster * GOLDEN_ANGLE + FIRST_HUE) % 360 / 360, cluster // 12 % 3
    red, green, blue = (round(255 * x) for x in colorsys.hls_to_rgb(hue, LIGHTNESS[ring], SATURATION[ring]))
    return red, green, blue
