"""Arrays beside what belongs to the same items: features with their files, and several feature spaces in one row.

Row i of the features is that of the i-th path of a list of files, or of the i-th file of a folder in the order of its paths.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.items.arrays import array_key
from selflabel.items.column_items import holds_media
from selflabel.items.embeddings import features_of
from selflabel.items.endings import ARRAY_ENDINGS, MANIFEST_ENDINGS, MODALITIES, ending_of
from selflabel.items.expand import exists
from selflabel.items.given_pieces import read_pieces_of_rows
from selflabel.items.manifest import class_name, manifest_item, path_columns, truth_column_of
from selflabel.items.piece import Pieces
from selflabel.items.row_paths import row_number, row_path
from selflabel.items.rows import Row, Rows, encoding_of
from selflabel.items.skipped import Skipped, as_skipped
from selflabel.items.table import Blob, Items

LIST_ENDING = ".txt"  # of a list with a path in each line

# ------------------------------------------------------------------------------------------------- several spaces


def names_of_spaces(name: str) -> list[str]:
    """The arrays of a name such as a.npy+b.npy; the name itself where it is that of one source.

    Example:
        >>> names_of_spaces("a+b/x.npy+y.npz:k"), names_of_spaces("a+b/x.npy"), names_of_spaces("a+b")
        (['a+b/x.npy', 'y.npz:k'], ['a+b/x.npy'], ['a+b'])
    """
    if "+" not in name or exists(name):
        return [name]
    names, begun = [], ""
    for piece in name.split("+"):
        begun += piece
        if ending_of(array_key(begun)[0]) in ARRAY_ENDINGS:
            names.append(begun)
            begun = ""
        else:
            begun += "+"
    return names if names and not begun else [name]


def side_by_side(source: str, spaces: Sequence[Items]) -> Items:
    """Several feature spaces of the same items as one array; a row that one of them lacks is skipped.

    Args:
        source: as errors name it.
        spaces: arrays, row i of each of the same item.

    Raises:
        UserError: one holds no features, or they have unequal numbers of rows.
    """
    other = next((items for items in spaces if not items.are_features), None)
    if other is not None:
        raise UserError(f"{other.source}: holds pictures; only features (N,D) can stand side by side with +.")
    counts = [row_count(items) for items in spaces]
    if len(set(counts)) > 1:
        found = " and ".join(f"{items.source} has {n:,} rows" for items, n in zip(spaces, counts))
        raise UserError(f"{found}; side by side, row i of each must be of the same item.")
    bad = {path: reason for items in spaces for path, reason in items.skipped}
    rows = [row for row in range(counts[0]) if row_path(row) not in bad]
    if not rows:
        raise UserError(f"{source}: every row has a NaN or an infinite value in one of the arrays; mend the features first.")
    kept = [items.take(places_of(items, rows)) for items in spaces]
    arrays = [np.asarray(items.array) for items in kept]
    return Items(
        source,
        [row_path(row) for row in rows],
        array=np.concatenate(arrays, axis=1),
        truth=next((items.truth for items in kept if items.truth is not None), None),
        skipped=list(bad.items()),
        space_dims=tuple(array.shape[1] for array in arrays),
    )


def row_count(items: Items) -> int:
    """The rows of an array, with those that cannot be used."""
    return len(items) + len(items.skipped)


def places_of(items: Items, rows: Sequence[int]) -> list[int]:
    """Where rows of an array are among those that can be used."""
    place = {row_number(path): i for i, path in enumerate(items.paths)}
    return [place[row] for row in rows]


# ------------------------------------------------------------------------------------------------------ with files


def beside_files(features: Items, place: str | Sequence[str], open_place: Callable[[str], Items], follow_links: bool) -> Items:
    """Rows of an array as items of features with the files that they belong to.

    Args:
        features: the rows of an array.
        place: of the files: a list (.txt, or a manifest), or any source of files; or the paths themselves.
        open_place: opens a source of files.
        follow_links: whether links of a list may lead out of its folder.

    Raises:
        UserError: the source holds no plain features, or there are more or fewer files than rows.
    """
    if not features.are_features or features.blobs or (features.paths and row_number(features.paths[0]) < 0):
        raise UserError(
            f"--items {short_name(place)}: names the files of an array's rows, and {features.source} holds no array of features; "
            "leave it out, or give features (N,D) as SOURCE."
        )
    files = files_at(place, open_place, follow_links)
    if files.array is not None:
        raise UserError(f"--items {short_name(place)}: is an array itself; name the folder or the list of the files.")
    rows, count = row_count(features), len(files)
    if rows != count:
        raise UserError(
            f"--items {short_name(place)}: names {count:,} files, and {features.source} has {rows:,} rows; "
            "row i must be of the i-th file."
        )
    own = [row_number(path) for path in features.paths]
    skipped = [Skipped(files.paths[row_number(path)], reason) for path, reason in features.skipped]
    named, reasons = replace(files, source=features.source).take(own, list(skipped)), missing_by_row(files)
    missing = [(files.paths[row], reasons[row]) for row in own if row in reasons]
    items = replace(features_of(named, features.array, missing), array_files=features.array_files)
    return replace(items, truth=features.truth or items.truth, space_dims=features.space_dims)


def missing_by_row(files: Items) -> dict[int, str]:
    """Row to the reason why it has no file, with the row of its list."""
    rows = [row for row in range(len(files)) if all(column[row] is None for column in files.blobs.values())]
    return {row: as_skipped(entry).text for row, entry in zip(rows, files.missing)}


def files_at(place: str | Sequence[str], open_place: Callable[[str], Items], follow_links: bool) -> Items:
    """The files of the rows; see `beside_files`."""
    names = [place] if isinstance(place, str) else list(place)
    if len(names) != 1:
        full = [{"path": os.path.abspath(name) if name else ""} for name in names]  # noqa: PTH100  a name may lead anywhere
        return items_of_lines("items", Path().resolve(), full, ["path"], follow_links, names)
    return listed(Path(names[0]), follow_links) if is_list(names[0]) else open_place(names[0])


def short_name(place: str | Sequence[str]) -> str:
    """What errors call the place of the files.

    Example:
        >>> short_name("photos/"), short_name(["a.png"]), short_name(["a.png", "b.png", "c.png"])
        ('photos/', 'a.png', 'a.png and 2 more')
    """
    names = [place] if isinstance(place, str) else list(place)
    return f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else "".join(names)


def is_list(place: str) -> bool:
    """Whether a name is that of a list of files, whose lines are rows whether their files are there or not."""
    ending = ending_of(Path(place).name)
    is_table = ending in MANIFEST_ENDINGS and not holds_media(Path(place))
    return exists(place) and (ending == LIST_ENDING or is_table)


def listed(file: Path, follow_links: bool) -> Items:
    """A row for every line of a list of files; those that are not there have no file, and are `missing`."""
    table = Rows(file)
    lines = text_lines(file) if ending_of(file.name) == LIST_ENDING else list(table)
    if table.bad:
        raise UserError(f"--items {file}: {table.bad[0][0]} {table.bad[0][1]}.")
    columns = path_columns(lines)
    if not columns:
        raise UserError(f"--items {file}: names no file; it needs a line for each row, in a table the column 'path'.")
    items = items_of_lines(str(file), file.parent.resolve(), lines, columns, follow_links)
    items = with_pieces_of_lines(items, file, [*table.header, *lines[0]], lines)
    truth = truth_column_of(table, lines[0])
    return replace(items, truth=[class_name(line.get(truth)) for line in lines] if truth else None)


def with_pieces_of_lines(items: Items, file: Path, header: Sequence[str], lines: Sequence[Row]) -> Items:
    """The lines of a list as the pieces that its columns name; a line that is none has no file, and is `missing`."""
    pieces, bad, reader = read_pieces_of_rows(file, header, lines)
    if not any(piece is not None for piece in pieces):
        return items
    reasons = missing_by_row(items) | {i: f"{reader.row_name(i + 1)}: {why}" for i, why in bad.items()}
    missing = [(items.paths[row], reasons[row]) for row in sorted(reasons)]
    blobs = {m: [None if i in bad else blob for i, blob in enumerate(column)] for m, column in items.blobs.items()}
    usable = Pieces.of([None if i in bad else piece for i, piece in enumerate(pieces)])
    return replace(items, blobs=blobs, missing=missing).with_pieces(usable, [reader.row_name(i + 1) for i in range(len(pieces))])


def items_of_lines(
    source: str,
    root: Path,
    lines: Sequence[Row],
    columns: Sequence[str],
    follow_links: bool,
    names: Sequence[str] | None = None,
) -> Items:
    """An item for every line, in order, whether its file is there or not.

    Args:
        source: as errors name it.
        root: folder from which paths start.
        lines: with a path in these columns.
        columns: see `manifest.path_columns`.
        follow_links: whether links may lead out of the folder.
        names: of the items; None for the paths of the lines.
    """
    found = [manifest_item(root, line, columns, follow_links) for line in lines]
    shown = names or [path for path, _, _ in found]
    paths = [path or row_path(row) for row, path in enumerate(shown)]
    blobs: dict[str, list[Blob | None]] = {m: [group.get(m) for _, group, _ in found] for m in MODALITIES}
    missing = [(path, reason) for path, (_, _, reason) in zip(paths, found) if reason]
    return Items(source, paths, blobs, missing=missing)


def text_lines(file: Path) -> list[Row]:
    """The lines of a text that are not empty, as rows of a table. Raises UserError where it cannot be read."""
    try:
        with open_regular(file):  # a named pipe would wait for ever
            pass
        text = file.read_text(encoding=encoding_of(file))
    except (OSError, ValueError) as error:
        raise UserError(f"--items {file}: cannot be read as a list of paths ({error}).") from error
    return [{"path": line.rstrip("\r")} for line in text.split("\n") if line.strip()]
