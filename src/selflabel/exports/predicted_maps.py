"""Class maps of unseen photos, as the format class-maps writes those of a run, with the same values for the same classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.exports.class_maps import write_maps
from selflabel.exports.context import Category, Item, categories_of
from selflabel.exports.destination import atomic_folder
from selflabel.items import Pieces
from selflabel.runs.class_maps import class_map_of
from selflabel.runs.run import Run


def write_predicted_maps(
    run: Run, folder: Path, paths: Sequence[str], pieces: Pieces, labels: np.ndarray, confidences: np.ndarray, raw: bool = False
) -> None:
    """Write the maps of unseen photos.

    Args:
        run: that labelled them; its classes are those of the maps.
        folder: to be made.
        paths, pieces, labels, confidences: (R,) of the photos' regions, those of a photo after one another; -1 is rejected.
        raw: whether edits are left aside.

    Raises:
        UserError: the folder is there already, or cannot be written.
    """
    if os.path.lexists(folder):
        raise UserError(f"{folder}: is there already; give a new folder with --maps.")
    edited = run.edited(edits=[] if raw else None)
    categories = categories_of(edited.labels, edited.names)
    with atomic_folder(folder.absolute()) as building:
        write_maps(building, maps_of(paths, pieces, labels, confidences, categories), categories)


def maps_of(
    paths: Sequence[str], pieces: Pieces, labels: np.ndarray, confidences: np.ndarray, categories: Sequence[Category]
) -> Iterator[tuple[Item, np.ndarray]]:
    """The first region and the map (H, W) of every photo."""
    by_cluster = {category.cluster: category for category in categories}
    index_of = {cluster: category.index for cluster, category in by_cluster.items()}
    starts = [row for row in range(len(paths)) if row == 0 or paths[row] != paths[row - 1]]
    for first, end in zip(starts, [*starts[1:], len(paths)]):
        own = [piece for row in range(first, end) if (piece := pieces[row]) is not None]
        values = [index_of.get(int(label), -1) for label in labels[first:end]]
        found = class_map_of(own, values, confidences[first:end].tolist(), len(categories))
        category = by_cluster.get(int(labels[first]), categories[0])
        yield Item(first, paths[first], float(confidences[first]), category, own[0]), found
