"""WHAT IS LABELLED: one table, a row per item, opened from a folder, a manifest, arrays, tar shards or an embedded set.

An item is a `Blob` a modality (encoded bytes: a whole file, or a span of a tar) or a row of an array. An image is an
"image"; a video file is a "video" and an "audio" in one; files of several kinds that share a stem are one item. Nothing is
decoded here, and class sub-folders mean nothing. Truth, where a source carries it, is used for scores only.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.arrays import from_array, from_array_file
from selflabel.items.embedded import EMBEDDED, mnist5k
from selflabel.items.endings import ENDINGS, KINDS, MANIFEST_ENDINGS, MODALITIES
from selflabel.items.folder import from_folder
from selflabel.items.grouping import group_by_stem
from selflabel.items.manifest import TRUTH_COLUMNS, from_manifest, read_rows
from selflabel.items.table import Blob, Blobs, Items
from selflabel.items.tar import from_tars, tar_shards

__all__ = [
    "EMBEDDED",
    "ENDINGS",
    "KINDS",
    "MANIFEST_ENDINGS",
    "MODALITIES",
    "TRUTH_COLUMNS",
    "Blob",
    "Blobs",
    "Items",
    "from_array",
    "from_folder",
    "from_manifest",
    "from_tars",
    "group_by_stem",
    "mnist5k",
    "open_items",
    "read_rows",
    "tar_shards",
]


def open_items(source: str | os.PathLike | np.ndarray) -> Items:
    """Open any SOURCE that the command line takes, or an array.

    Args:
        source: a folder, a manifest, an array file, tar shards, one file, an embedded set's name; or an array of images
            (N, H, W[, C]) of any real type or of features (N, D) float.

    Returns:
        The table of its items.

    Raises:
        UserError: nothing is there, or nothing in it can be an item.
    """
    if isinstance(source, np.ndarray):
        return from_array(source, "array")
    name = os.fspath(source)
    if name in EMBEDDED and not Path(name).exists():
        return EMBEDDED[name]()
    shards = tar_shards(name)
    if shards:
        return from_tars(name, shards)
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"{name}: there is no such file or folder, and it is not an embedded set ({', '.join(EMBEDDED)}); "
            "give a folder of images, videos or sounds, a .csv/.jsonl/.parquet manifest, an .npy/.npz array or .tar shards."
        )
    return from_folder(path) if path.is_dir() else from_file(name, path)


def from_file(name: str, path: Path) -> Items:
    """The items of one file: a manifest, an array, or the only item."""
    ending = path.suffix.lower()
    if ending in MANIFEST_ENDINGS:
        return from_manifest(path)
    if ending in {".npy", ".npz"}:
        return from_array_file(path)
    if ending in ENDINGS:
        return group_by_stem(name, [path.name], [Blob(str(path))])
    raise UserError(
        f"{name}: files ending in '{path.suffix}' cannot be labelled; give a folder, a .csv/.jsonl/.parquet manifest, "
        "an .npy/.npz array or .tar shards."
    )
