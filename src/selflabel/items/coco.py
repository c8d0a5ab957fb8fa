"""Items of a COCO file: every annotation is a piece of its picture, a box or a mask; the name of its category is its class.

The format: Lin et al. 2014, "Microsoft COCO", and cocodataset.org, "Data format". Masks are outlines or run lengths, compressed
or not. A size that the file states of a picture is kept with the piece, so that `decode.fitting` finds whether boxes are those of
the picture as it is stored or as it is shown upright.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.memory import free_host_memory
from selflabel.base.rle import MAX_PIXELS, MAX_SIDE
from selflabel.base.text import as_utf8, printable, shortened
from selflabel.items.coco_pieces import box_of, piece_of
from selflabel.items.files import OutsideFolder, file_below
from selflabel.items.given_pieces import NoPiece
from selflabel.items.manifest import MAX_NAME, class_name, unusable_name
from selflabel.items.piece import Piece, Pieces
from selflabel.items.rows import MAX_JSON, check_count
from selflabel.items.skipped import Skipped
from selflabel.items.table import Blob, Items

GROWTH = 8  # bytes of memory that a byte of JSON takes
LOOKED_UP = 64  # pictures by which their folder is found
SHARED = "its image_id is that of several pictures"
Corners = Sequence[Any]


@dataclass(frozen=True)
class Picture:
    """A picture that a COCO file names.

    Attributes:
        name: as it is written.
        size: (width, height) as stated; (0, 0) where it is not.
        blob: its file; None where it is not there.
        reason: why, or "".
    """

    name: str
    size: tuple[int, int]
    blob: Blob | None
    reason: str = ""


@dataclass
class Found:
    """The annotations of a file, row by row."""

    paths: list[str] = field(default_factory=list)
    blobs: list[Blob | None] = field(default_factory=list)
    pieces: list[Piece | None] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    row_names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def may_be_coco(file: Path) -> bool:
    """Whether a file may be a COCO file by its ending and its first character: a manifest begins with "[" or with "{" a line."""
    if file.suffix.lower() != ".json":
        return False
    try:
        with open_regular(file) as f:
            return f.read(256).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] == b"{"
    except OSError:
        return False


def read_coco(file: Path) -> dict[str, Any] | None:
    """The lists of a COCO file; None where a .json is none.

    Raises:
        UserError: it is too large to be read.
    """
    size = file.stat().st_size
    if size > MAX_JSON or size * GROWTH > free_host_memory():
        needed = f"more than {MAX_JSON:,} bytes" if size > MAX_JSON else f"{size:,} bytes, too many for the memory that is free"
        raise UserError(f"{file}: has {needed}; divide its images and their annotations among several files.")
    try:
        with open_regular(file) as f:
            document = json.loads(f.read())
    except (OSError, ValueError, RecursionError):
        return None  # the sentence on what is wrong is that of a manifest
    return document if all(isinstance(document.get(name), list) for name in ("images", "annotations")) else None


def from_coco(file: Path, document: Mapping[str, Any], images: str | None = None, follow_links: bool = False) -> Items:
    """The items of a COCO file, one for each annotation.

    Args:
        file: its name.
        document: its lists, from `read_coco`.
        images: the folder of the pictures; None looks for it: the folder of the file, or those that COCO's own layout has.
        follow_links: whether links may lead out of that folder.

    Raises:
        UserError: the folder is not there, or no annotation can be used.
    """
    annotations = document["annotations"]
    check_count(file, len(annotations))
    root = images_folder(file, document, images)
    classes = class_names(document.get("categories"))
    pictures = dict(pictures_of(document["images"], root, follow_links))
    found, seen = Found(), set()
    for number, annotation in enumerate(annotations, 1):
        seen.add(add_annotation(found, annotation, f"annotation {number:,} of {file.name}", pictures, classes))
    if not found.paths:
        first = ": ".join(filter(None, map(printable, found.skipped[0]))) if found.skipped else "it has none"
        raise UserError(f"{file}: none of its {len(annotations):,} annotations can be used; the first: {first}.")
    notes = [] if images is not None else [f"{file}: its pictures are those in {root}"]
    if bare := len(pictures.keys() - seen):
        notes.append(f"{file}: {bare:,} of its {len(pictures):,} pictures have no annotation, and are no items")
    truth = found.truth if classes else None
    items = Items(str(file), found.paths, {"image": found.blobs}, truth=truth, skipped=found.skipped, notes=notes)
    return items.with_pieces(Pieces.of(found.pieces), found.row_names)


# ---------------------------------------------------------------------------------------------------------- pictures


def images_folder(file: Path, document: Mapping[str, Any], images: str | None) -> Path:
    """The folder of the pictures, resolved. Raises UserError."""
    if images is not None:
        if not os.path.isdir(images):  # noqa: PTH112  a name that no folder can have is an error of Path
            raise UserError(f"--images {images}: there is no such folder.")
        return Path(images).resolve()
    names = [n for entry in document["images"][:LOOKED_UP] if (n := name_in(entry))]
    names = [n for n in names if not Path(n).is_absolute()] or names  # an absolute one is found below any folder above it
    folders = [folder.resolve() for folder in usual_folders(file) if folder.is_dir()]
    counts = [sum(not find_picture(folder, name, False)[1] for name in names) for folder in folders]
    if names and not any(counts):  # without names each annotation says what it lacks
        raise UserError(
            f"{file}: its pictures are neither beside it nor in a folder images; name their folder with --images DIR."
        )
    return folders[int(np.argmax(counts))]


def usual_folders(file: Path) -> list[Path]:
    """Where the pictures of a COCO file lie: beside it, in images/, or as those of annotations/instances_train2017.json."""
    folder = Path(file).resolve().parent
    split = file.stem.partition("_")[2]
    places = [folder, folder.parent / "images", folder / "images"]
    return [*places, *(place / split for place in (folder.parent, *places[1:]) if split)]


def pictures_of(entries: Sequence[Any], root: Path, follow_links: bool) -> Iterator[tuple[Any, Picture]]:
    """(id, picture) of every entry of `images`. An id that pictures of several names have is that of none of them."""
    names: dict[Any, str] = {}
    shared = {n for entry in entries if names.setdefault(n := key_in(entry, "id"), name_in(entry)) != name_in(entry)}
    for entry in entries:
        number = key_in(entry, "id")
        if number is None or number not in names:
            continue
        name = names.pop(number)
        file, reason = find_picture(root, name, follow_links) if number not in shared else (None, SHARED)
        shown = as_utf8(shortened(name, MAX_NAME))
        yield number, Picture(shown, stated_size(entry), None if file is None else Blob(str(file)), reason)


def find_picture(root: Path, name: str, follow_links: bool) -> tuple[Path | None, str]:
    """(file of a name below a folder, "") or (None, why it cannot be used). Back-slashes divide folders, too."""
    if reason := unusable_name(name):
        return None, reason
    reason = "no such file"
    for text in dict.fromkeys((name, name.replace("\\", "/"))):
        try:
            return file_below(root, text, follow_links), ""
        except OutsideFolder:
            reason = "its path leaves the folder of the pictures"
        except (OSError, ValueError):
            continue
    return None, reason


def stated_size(entry: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) in pixels as an entry states it; (0, 0) where it does not."""
    width, height = entry.get("width"), entry.get("height")
    if not all(isinstance(side, (int, float)) and 1 <= side <= MAX_SIDE for side in (width, height)):
        return 0, 0
    size = int(width), int(height)  # type: ignore[arg-type]
    return size if size[0] * size[1] <= MAX_PIXELS else (0, 0)


def class_names(categories: Any) -> dict[Any, str]:
    """Id to name of every category."""
    entries = categories if isinstance(categories, list) else []
    names = {key_in(entry, "id"): class_name(text_in(entry, "name")) for entry in entries}
    return {number: name for number, name in names.items() if number is not None and name}


def key_in(entry: Any, name: str) -> int | str | None:
    """An id of an entry; None where it has none. Some tools write 7.0 for 7."""
    value = entry.get(name) if isinstance(entry, dict) else None
    whole = isinstance(value, (int, str)) or (isinstance(value, float) and value.is_integer())
    return value if whole else None  # type: ignore[return-value]


def name_in(entry: Any) -> str:
    """The name of the file of an entry of `images`, "" where it has none."""
    return text_in(entry, "file_name")


def text_in(entry: Any, name: str) -> str:
    """A text of an entry, "" where it has none."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return "" if value is None else str(value)


# ------------------------------------------------------------------------------------------------------- annotations


def add_annotation(
    found: Found, annotation: Any, row_name: str, pictures: Mapping[Any, Picture], classes: Mapping[Any, str]
) -> int | str | None:
    """Add the item of an annotation, or list why it is none. Returns the id of its picture."""
    number = key_in(annotation, "image_id")
    picture = pictures.get(number)
    if picture is None:
        found.skipped.append(Skipped(row_name.rpartition(" of ")[2], "its image_id is that of no picture", row=row_name))
        return number
    box = None
    try:
        box = box_of(annotation.get("bbox"))
        if picture.reason:
            raise NoPiece(picture.reason)
        piece = piece_of(box, annotation.get("segmentation"), picture.size)
    except NoPiece as error:
        listed = Piece(box=box) if box is not None else None
        found.skipped.append(Skipped(picture.name, str(error), listed, row_name))
        return number
    found.paths.append(picture.name)
    found.blobs.append(picture.blob)
    found.pieces.append(piece)
    found.truth.append(classes.get(key_in(annotation, "category_id"), ""))
    found.row_names.append(row_name)
    return number
