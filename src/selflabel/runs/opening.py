"""Finding the items of a run again: by what it recorded, and only where this user made the run or named its source.

The folder in which a command is started plays no part. Runs of 0.1.0 recorded nothing, and sources move: then items are looked
up by their names, in the place that the user named.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from selflabel.base.errors import UserError
from selflabel.items import EMBEDDED, MANIFEST_ENDINGS, Items, tar_shards
from selflabel.items.beside import LIST_ENDING, names_of_spaces
from selflabel.items.coco import images_folder, may_be_coco, read_coco
from selflabel.items.column_items import holds_media
from selflabel.items.expand import exists, expand
from selflabel.items.feature_folder import is_feature_folder
from selflabel.items.folder import files_of_tables
from selflabel.items.remote import is_remote
from selflabel.runs.origin import RECORD, Origin, read_origin, sign
from selflabel.runs.pieces import read_pieces, same_pieces
from selflabel.runs.reading import file_in
from selflabel.runs.recorded import (
    ARRAY_ID,
    Record,
    RecordedSource,
    SameSizes,
    absolute_places,
    another_size,
    array_file,
    first_difference,
    size_and_time,
    write_record,
)
from selflabel.runs.sources import FolderSource, LostSource, ManifestSource, Source, TableSource


class OpenedSource(NamedTuple):
    """A source, and "" or why it cannot be found; a source that cannot be found raises Missing for every item."""

    source: Source
    error: str


def record_source(folder: Path, items: Items, source: str | Sequence[str]) -> bool:
    """Write where the items of a run are, and that this user let the run read them.

    Args:
        folder: of the run.
        items: its items, in its order.
        source: as the user named it; of features with files also where these are.

    Returns:
        False where the signature cannot be kept: then the source must be named again when the run is opened.
    """
    write_record(folder / RECORD, items)
    return sign(folder, Origin(tuple(absolute_places(source)), True))


def check_same_items(folder: Path, items: Items) -> None:
    """Raise UserError where an unfinished run was begun with other files than its source has now."""
    if not (folder / RECORD).exists():
        return
    difference = first_difference(Record(file_in(folder, RECORD)), items)
    if not difference and not same_pieces(read_pieces(folder), items.pieces):
        difference = "its items are other pieces of the files"
    if difference:
        raise UserError(
            f"{folder}: the source is not as it was when this run was begun ({difference}); restore it, or use --overwrite."
        )


def open_source(
    folder: Path,
    name: str,
    paths: Sequence[str],
    with_sound: bool = True,
    follow: bool = False,
    moved_to: str | None = None,
    followed: bool = False,
) -> OpenedSource:
    """Open the source of a run.

    Args:
        folder: of the run.
        name: the source as run.toml has it. It counts only for embedded sets and for what lies in the run folder; what the run
            may read otherwise is in its signed origin.json.
        paths: (N,) of the items, as in labels.parquet.
        with_sound: whether a sound file beside an item in a folder belongs to it.
        follow: whether links in a folder may lead out of it.
        moved_to: where the items are now, as the user says.
        followed: whether links were followed when the items were labelled; it counts only where this user labelled them.
    """
    try:
        return OpenedSource(find_source(folder, name, paths, with_sound, follow, moved_to, followed), "")
    except UserError as error:
        return OpenedSource(LostSource(str(error)), str(error))


def find_source(
    folder: Path, name: str, paths: Sequence[str], with_sound: bool, follow: bool, moved_to: str | None, followed: bool
) -> Source:
    """See `open_source`. Raises UserError."""
    origin = read_origin(folder)
    record = Record(file_in(folder, RECORD)) if origin and origin.is_recorded else None
    if moved_to is None and name in EMBEDDED:
        return TableSource(name, paths)
    if record is None or moved_to is not None:
        place = moved_to or place_by_name(folder, name, origin)
        source = source_by_name(folder, place, paths, with_sound, follow)
        if record is not None:
            check_array(record, (place,))
        return SameSizes(source, record) if record else source
    places = origin.places if origin else (name,)
    if not any(map(is_there, places)):
        raise lost(places[0])
    if array_lines(record):
        check_array(record, places)
        return TableSource(places, paths)
    files = [file for place in places for file in ([] if is_remote(place) else expand(place))]
    folders = [] if follow or followed else [Path(file) for file in files if Path(file).is_dir()]
    folders = [] if any(map(is_feature_folder, folders)) else folders  # its tables name files elsewhere, as a manifest does
    return RecordedSource(record, folders, files)


def place_by_name(folder: Path, name: str, origin: Origin | None) -> str:
    """Where a run that recorded nothing may look its items up. Raises UserError where the user must say so first."""
    if origin is not None:
        return origin.places[0]
    guess = locate(folder, name)
    if guess is not None and Path(guess).resolve().is_relative_to(folder.resolve()):
        return guess
    place = guess or name
    raise UserError(
        "this run was made elsewhere or by an older version, so only what lies in its folder is shown; if its items are in "
        f"{place}, add --source {shlex.quote(place)}, which is remembered"
    )


def source_by_name(folder: Path, place: str, paths: Sequence[str], with_sound: bool, follow: bool) -> Source:
    """A source whose items are looked up by their paths. Raises UserError where it is not there."""
    if not is_there(place):
        raise lost(place)
    if is_remote(place):
        return TableSource(place, paths)
    if Path(place).is_dir() or Path(place).suffix.lower() == LIST_ENDING:
        return FolderSource(Path(place) if Path(place).is_dir() else Path(place).parent, paths, with_sound, follow)
    if Path(place).suffix.lower() in MANIFEST_ENDINGS:
        is_of_the_run = Path(place).resolve().is_relative_to(folder.resolve())
        document = read_coco(Path(place)) if may_be_coco(Path(place)) else None
        if document is not None:
            return FolderSource(Path(place).parent if is_of_the_run else beside_coco(place, document), paths, False, follow)
        if not is_of_the_run and holds_media(Path(place)):
            return TableSource(place, paths)
        return ManifestSource(Path(place), paths, with_absolute=not is_of_the_run)
    return TableSource(place, paths)


def beside_coco(place: str, document: dict[str, Any]) -> Path:
    """The folder of the pictures of a COCO file, where it is one of the usual ones. Raises UserError."""
    try:
        return images_folder(Path(place), document, None)
    except UserError:
        raise UserError(
            f"{place}: its pictures are neither beside it nor in a folder images; give their folder as --source."
        ) from None


def images_of(folder: Path, name: str | None) -> str | None:
    """The folder of the pictures of a COCO file that a run was made of, where the user named it.

    Args:
        folder: of the run.
        name: as run.toml has it; None without one.
    """
    origin = read_origin(folder) if name else None
    return origin.places[-1] if origin and len(origin.places) > 1 else name


def array_lines(record: Record) -> list[dict[str, Any]]:
    """The lines of the arrays whose rows are the items; none where the items have files."""
    return [line for line in record.lines(ARRAY_ID) if line["modality"] == "array"]


def check_array(record: Record, places: Sequence[str]) -> None:
    """Raise UserError where a file of an array has another size than the one that was labelled."""
    files = [file for place in places for file in array_files_at(place)]
    for file, line in zip(files, array_lines(record)):
        size, _ = size_and_time(file)
        if size != line["size"]:
            raise UserError(f"{file}: {another_size(size, line['size'])}")


def array_files_at(place: str) -> list[str]:
    """The files of an array by the name of its source: one, several with + between, or those of a pattern or a folder."""
    known = list(filter(None, map(array_file, names_of_spaces(place))))
    if known or is_remote(place):
        return known
    if is_feature_folder(Path(place)):
        return sorted(map(str, Path(place).glob("part-*.npy")))
    return [file for name in expand(place) for file in (files_of_tables(Path(name)) if Path(name).is_dir() else [name])]


def lost(place: str) -> UserError:
    return UserError(f"{place} is not there any more; say where it is now with --source")


def is_there(place: str) -> bool:
    """Whether a source is there: a file, a folder, or tar shards. An address is asked only when it is opened."""
    if any(map(is_remote, names_of_spaces(place))):
        return True
    try:
        arrays = all(map(array_file, names_of_spaces(place)))
        return place in EMBEDDED or arrays or bool(tar_shards(place)) or any(map(exists, expand(place)))
    except (UserError, OSError, ValueError):
        return False


def locate(folder: Path, name: str) -> str | None:
    """Where a relative source was, starting from a folder above the run's; None where it is not."""
    starts = [Path()] if Path(name).is_absolute() else folder.resolve().parents
    return next((str(start / name) for start in starts if is_there(str(start / name))), None)


def place_of(folder: Path, name: str, has_images: bool = False) -> str | list[str]:
    """What `open_items` opens to read the whole source of a run again.

    Args:
        folder: of the run.
        name: the source as run.toml has it.
        has_images: whether the last of the places is the folder of the pictures of a COCO file.

    Raises:
        UserError: the run may not read it, or it is not there any more.
    """
    if name in EMBEDDED:
        return name
    origin = read_origin(folder)
    places = list(origin.places) if origin else [place_by_name(folder, name, None)]
    places = places[:-1] if has_images and len(places) > 1 else places
    for place in places:
        if not is_there(place):
            raise lost(place)
    return places[0] if len(places) == 1 else places
