"""WHAT IS LABELLED: one table, a row per item, opened from a folder, a manifest, arrays, archives or an embedded set.

An item is a `Blob` a modality (encoded bytes: a whole file, or a place in an archive or a table) or a row of an array. An
image is an "image"; a video file is a "video" and an "audio" in one; files of several kinds that share a stem are one item.
Nothing is decoded here, and class sub-folders mean nothing. Truth, where a source carries it, is used for scores only.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.text import as_utf8, is_utf8
from selflabel.items.arrays import array_key, from_array, from_array_file
from selflabel.items.beside import beside_files, names_of_spaces, side_by_side
from selflabel.items.coco import from_coco, may_be_coco, read_coco
from selflabel.items.column_items import from_column_table
from selflabel.items.embedded import EMBEDDED, mnist5k
from selflabel.items.endings import (
    ARCHIVE_ENDINGS,
    ARRAY_ENDINGS,
    COLUMN_ENDINGS,
    ENDINGS,
    KINDS,
    MANIFEST_ENDINGS,
    MODALITIES,
    ending_of,
    is_tar,
    reason_not_read,
)
from selflabel.items.expand import exists, expand, is_listed
from selflabel.items.feature_folder import from_feature_folder, is_feature_folder
from selflabel.items.folder import NoMedia, from_folder
from selflabel.items.grouping import group_by_stem
from selflabel.items.manifest import from_manifest
from selflabel.items.piece import Piece, Pieces
from selflabel.items.remote import fetch, is_remote
from selflabel.items.rows import TRUTH_COLUMNS, read_rows
from selflabel.items.saved_dataset import dataset_files, is_saved_dataset
from selflabel.items.several import from_several, source_text
from selflabel.items.shards import from_shards
from selflabel.items.table import Blob, Blobs, Items
from selflabel.items.tar import from_tars, tar_shards
from selflabel.items.unread import one_line, skip_notes
from selflabel.items.zip import from_zip

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
    "Piece",
    "Pieces",
    "from_array",
    "from_folder",
    "from_manifest",
    "from_tars",
    "group_by_stem",
    "mnist5k",
    "open_items",
    "read_rows",
    "takes_images",
    "tar_shards",
]

Source = str | os.PathLike | np.ndarray | Sequence[str | os.PathLike]
REMEDY = (
    "give a folder of images, videos or sounds, a .csv/.tsv/.jsonl/.json/.parquet/.arrow manifest, an .npy/.npz array, "
    ".tar shards or a .zip"
)


def open_items(
    source: Source, follow_links: bool = False, files: str | Sequence[str] | None = None, images: str | None = None
) -> Items:
    """Open any SOURCE that the command line takes, or an array.

    Args:
        source: a folder, a manifest, an array file, an archive, tar shards, one file, an embedded set's name, an address, or
            several of these, or feature spaces of the same items, as a.npy+b.npy; or an array of images (N, H, W[, C]) of any
            real type or of features (N, D) float.
        follow_links: whether links to folders are followed, and links of a manifest out of its folder.
        files: what the rows of features are: a list of files, a folder of them, or their paths, row i the i-th; None has none.
        images: the folder of the pictures of a COCO file; None looks for them beside it.

    Returns:
        The table of its items; its notes say what was skipped, passed over or assumed.

    Raises:
        UserError: nothing is there, or nothing in it can be an item.
    """
    if images is not None and not takes_images(source):
        raise UserError(f"--images {images}: names the pictures of a COCO file, and SOURCE is none; leave it out.")
    items = from_array(source, "array") if isinstance(source, np.ndarray) else open_names(names_of(source), follow_links, images)
    if files is not None:
        items = beside_files(items, files, lambda place: open_names([place], follow_links), follow_links)
    return replace(items, notes=one_line([*items.notes, *skip_notes(items.skipped)]))


def takes_images(source: Source) -> bool:
    """Whether a source is one or several COCO files, whose pictures lie in a folder of their own."""
    if isinstance(source, np.ndarray):
        return False
    files = [file for name in names_of(source) for file in expand(name)]
    return bool(files) and all(may_be_coco(Path(file)) for file in files)


def names_of(source: str | os.PathLike | Sequence[str | os.PathLike]) -> list[str]:
    """The names of one source or of several. Raises UserError where there is none."""
    names = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    if not names or any(os.fspath(name) == "" for name in names):  # an unset variable of a shell is no name of the current folder
        raise UserError(f"no source was given; {REMEDY}.")
    return [os.fspath(name) for name in names]


def open_names(names: list[str], follow_links: bool, images: str | None = None) -> Items:
    """Open one or several sources by their names."""
    if len(names) == 1 and names[0] in EMBEDDED and not exists(names[0]):
        return EMBEDDED[names[0]]()
    spaces = names_of_spaces(names[0]) if len(names) == 1 else []
    if len(spaces) > 1:
        return side_by_side(names[0], [open_names([name], follow_links) for name in spaces])
    if any(map(is_remote, names)):
        return open_remote(names, follow_links, images)
    if all(is_tar(name) for name in names):
        check_names(names)
        return from_tars(source_text(names), [shard for name in names for shard in tar_shards(name)])
    found = [file for name in names for file in expand(name)]
    if len(found) == 1:
        check_names(found)
        return open_one(found[0], follow_links, images)
    missing = next((name for name in found if not is_listed(name)), None if found else names[0])
    if missing is not None and missing in EMBEDDED:
        raise UserError(f"{missing}: an embedded set cannot be joined with other sources; label it by itself.")
    if missing is not None:
        raise no_such(missing)
    if all(ending_of(name) == ".npy" and not Path(name).is_dir() for name in found):
        check_names(found)
        return from_shards(source_text(names), list(dict.fromkeys(found)))
    return from_several(found, partial(open_one, follow_links=follow_links, images=images), follow_links)


def open_remote(names: list[str], follow_links: bool, images: str | None) -> Items:
    """Open sources of which some are addresses; errors name these, and not their copies in the cache."""
    copies = {file: address for name in names if is_remote(name) for file, address in fetch(name).items()}
    local = [name for name in names if not is_remote(name)]
    try:
        items = open_names([*local, *copies], follow_links, images)
    except UserError as error:
        text = str(error)
        for file, address in copies.items():
            text = text.replace(file, address)
        raise UserError(text) from error
    files = items.array_files or (tuple(copies) if items.array is not None else ())
    return replace(items, source=source_text(names), array_files=files)


def check_names(names: list[str]) -> None:
    """Raise UserError where a name cannot be stored in a run."""
    for name in names:
        if not is_utf8(os.path.abspath(name)):  # noqa: PTH100
            raise UserError(f"{as_utf8(name)}: its name, or that of its folder, is not UTF-8; rename it.")


def no_such(name: str) -> UserError:
    """The error of a name that is that of nothing."""
    sets = ", ".join(EMBEDDED)
    return UserError(f"{name[:1000]}: there is no such file or folder, and it is not an embedded set ({sets}); {REMEDY}.")


def open_one(name: str, follow_links: bool, images: str | None = None) -> Items:
    """Open one source by its name, which stands for nothing else."""
    if is_tar(name):
        return from_tars(name, tar_shards(name))
    file, key = array_key(name)
    if key:
        return from_array_file(Path(file), key)
    if not exists(name):
        raise no_such(name)
    path = Path(name)
    return open_folder(path, follow_links) if path.is_dir() else from_file(name, path, follow_links, images)


def open_folder(path: Path, follow_links: bool) -> Items:
    """The items of a folder: a saved dataset, or media; one without media may hold tables, tar shards or arrays."""
    if is_feature_folder(path):
        return from_feature_folder(path)
    if is_saved_dataset(path):
        return open_tables(path, dataset_files(path), follow_links)
    try:
        return from_folder(path, follow_links)
    except NoMedia as error:
        unread = error.unread
        tables = next((sorted(names) for names in unread.tables.values() if names), None)
        if tables is None:
            raise
    unread.forget(tables)
    return open_tables(path, tables, follow_links).noting(unread.skipped, unread.notes)


def open_tables(folder: Path, names: list[str], follow_links: bool) -> Items:
    """The items of the tables, shards or arrays of a folder."""
    items = open_names([str(folder / name) for name in names], follow_links)
    return replace(items, source=str(folder)) if items.array_files else items


def from_file(name: str, path: Path, follow_links: bool, images: str | None = None) -> Items:
    """The items of one file: a manifest, a COCO file, an array, an archive, or the only item."""
    ending = ending_of(path.name)
    if ending in COLUMN_ENDINGS:
        return from_column_table(path, follow_links)
    document = read_coco(path) if may_be_coco(path) else None
    if document is not None:
        return from_coco(path, document, images, follow_links)
    if ending in MANIFEST_ENDINGS:
        return from_manifest(path, follow_links)
    if ending in ARRAY_ENDINGS:
        return from_array_file(path)
    if ending == ".zip":
        return from_zip(path)
    if ending in ENDINGS:
        return group_by_stem(name, [path.name], [Blob(str(path))])
    if ending in ARCHIVE_ENDINGS:
        raise UserError(f"{name}: archives ending in '{path.suffix}' are not read; unpack it, or {REMEDY}.")
    reason = reason_not_read(ending) or f"files ending in '{path.suffix}' cannot be labelled"
    raise UserError(f"{name}: {reason}; {REMEDY}.")
