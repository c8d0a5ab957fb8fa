"""Several sources as one: files and folders are read as those of their common folder, tables and archives one after the other.

Beside files and folders, tables and archives are no sources but what else lies there: a shell's `*` names these, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.text import as_utf8, is_utf8
from selflabel.items.embeddings import missing_notes
from selflabel.items.endings import ENDINGS, ending_of
from selflabel.items.folder import FolderFiles, NoMedia, list_folder, path_order
from selflabel.items.grouping import group_by_stem
from selflabel.items.piece import joined_pieces
from selflabel.items.shards import ShardedRows, check_alike
from selflabel.items.skipped import as_skipped
from selflabel.items.table import Items, JoinedBlobs
from selflabel.items.unread import NOT_UTF8, Unread


def from_several(names: list[str], open_one: Callable[[str], Items], follow_links: bool) -> Items:
    """The items of several sources; their paths start from the folder that the sources have in common.

    Args:
        names: of files and folders that are there.
        open_one: opens a source that is neither a folder nor one image, video or sound.
        follow_links: whether links to folders are followed.

    Raises:
        UserError: nothing there can be an item, or arrays are among them that cannot be joined.
    """
    names = list(dict.fromkeys(names))
    common = common_folder(names)
    if not is_utf8(str(common)):
        raise UserError(f"{as_utf8(str(common))}: the name of this folder is not UTF-8; rename it.")
    if any(Path(name).is_dir() or ending_of(name) in ENDINGS for name in names):
        return from_files(source_text(names), common, names, follow_links)
    bad = next((name for name in names if not is_utf8(name)), None)
    if bad is not None:
        raise UserError(f"{as_utf8(bad)}: its name is not UTF-8; rename it.")
    parts = [(os.path.relpath(Path(name).absolute(), common), open_one(name)) for name in names]
    return parts[0][1] if len(parts) == 1 else joined(source_text(names), parts)


def common_folder(names: list[str]) -> Path:
    """The folder that all files and folders lie in."""
    places = [Path(name).absolute() for name in names]
    return Path(os.path.commonpath([place if place.is_dir() else place.parent for place in places]))


def source_text(names: list[str]) -> str:
    """Several sources as errors name them."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"


def from_files(source: str, root: Path, places: list[str], follow_links: bool) -> Items:
    """The items of files and of folders below `root`."""
    names: dict[str, None] = {}
    unread = Unread()
    for place in places:
        below = os.path.relpath(Path(place).absolute(), root).replace(os.sep, "/")
        if not is_utf8(below):
            unread.skip(below, NOT_UTF8)
        elif Path(place).is_dir():
            prefix = "" if below == "." else f"{below}/"
            found, other = list_folder(Path(place), follow_links)
            names |= dict.fromkeys(prefix + name for name in found)
            unread.add(other, prefix)
        elif ending_of(below) in ENDINGS:
            names[below] = None
        else:
            unread.add_other(below)
    if not names:
        raise NoMedia(source, "there", unread)
    in_order = sorted(names, key=path_order)
    return group_by_stem(source, in_order, FolderFiles(root, in_order)).noting(unread.skipped, unread.notes)


def joined(source: str, parts: Sequence[tuple[str, Items]]) -> Items:
    """The items of several tables, one after the other.

    Args:
        source: as errors name it.
        parts: what stands before a table's paths, and the table.
    """
    prefixes = [name.replace(os.sep, "/") + "/" if name else "" for name, _ in parts]
    tables = [items for _, items in parts]
    has_features = all(items.are_features and not items.space_dims for _, items in parts)
    if any(items.array is not None for _, items in parts) and not has_features:
        raise UserError(
            f"{source}: arrays cannot be joined with other sources; give one array, or stack them in one file; "
            "two feature spaces of the same items are given as A.npy+B.npy."
        )
    files = [items.source for _, items in parts] if has_features else []
    if has_features:
        check_alike(files, [items.array for _, items in parts])
    missing = [(prefix + path, reason) for prefix, items in zip(prefixes, tables) for path, reason in items.missing]
    n = sum(map(len, tables))
    notes = list(dict.fromkeys(note for items in tables for note in items.notes))
    if has_features:  # a thousand files do not say the same a thousand times
        notes = [f"{source}: {len(tables):,} files of features, {n:,} rows, in the order of the files' names"]
        notes += missing_notes(missing, n)
    modalities = [m for m in ("image", "video", "audio") if any(m in items.blobs for _, items in parts)]
    has_truth = any(items.truth is not None for items in tables)
    return Items(
        source,
        [prefix + path for prefix, items in zip(prefixes, tables) for path in items.paths],
        {m: JoinedBlobs([items.blobs.get(m) or [None] * len(items) for items in tables]) for m in modalities},
        array=ShardedRows([np.asarray(items.array) for items in tables]) if has_features else None,
        truth=[name for items in tables for name in items.truth or [""] * len(items)] if has_truth else None,
        skipped=[as_skipped(entry).below(prefix) for prefix, items in zip(prefixes, tables) for entry in items.skipped],
        notes=notes,
        missing=missing,
        array_files=tuple(files),
        pieces=joined_pieces([(len(items), items.pieces) for items in tables]),
        row_names=[name for t in tables for name in t.row_names or [""] * len(t)] if any(t.row_names for t in tables) else (),
        captions=[name for t in tables for name in t.captions or [""] * len(t)] if any(t.captions for t in tables) else (),
    )
