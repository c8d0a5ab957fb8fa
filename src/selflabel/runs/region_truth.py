"""Where things are in pictures, as people drew it: a table of boxes, or a folder of masks.

A table has a row for each box: path, label, x0, y0, x1 and y1 in pixels of the upright original, and perhaps frame (of a film)
and sounding. A row with empty x0 to y1 says that there is nothing in the picture. A folder has a PNG of the same stem for each
picture.

Axes: T boxes of a picture.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items.given_pieces import PieceReader
from selflabel.items.piece import BOX_COLUMNS
from selflabel.items.rows import KNOWN, TRUTH_COLUMNS, Row, Rows
from selflabel.runs.truth import is_class, text_of

SOUNDING, FRAME = "sounding", "frame"
YES, NO = ("1", "1.0", "true", "yes", "sounding"), ("0", "0.0", "false", "no", "silent")
Bad = list[tuple[str, str]]  # (which row or file, why it cannot be used)


@dataclass(frozen=True)
class TrueBoxes:
    """The true boxes of one picture.

    Attributes:
        boxes: (T, 4) in pixels of the upright original.
        classes: (T,) their classes, "" where none is said.
        sounds: (T,) bool, whether it is heard; True where the table does not say.
    """

    boxes: np.ndarray
    classes: tuple[str, ...]
    sounds: np.ndarray

    def those(self, chosen_T: np.ndarray) -> TrueBoxes:
        """Some of the boxes. chosen_T: bool."""
        names = tuple(name for name, is_chosen in zip(self.classes, chosen_T.tolist()) if is_chosen)
        return TrueBoxes(self.boxes[chosen_T], names, self.sounds[chosen_T])


@dataclass(frozen=True)
class BoxTable:
    """A table of true boxes.

    Attributes:
        file: its name.
        of: path to its boxes.
        says_sounding: whether it says of each box if it is heard.
        bad: rows that cannot be used.
        notes: sentences for the user.
    """

    file: Path
    of: dict[str, TrueBoxes]
    says_sounding: bool = False
    bad: Bad = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def has_boxes(file: Path) -> bool:
    """Whether a table has the columns of boxes. Raises UserError where it cannot be read."""
    rows = Rows(file)
    first = next(iter(rows), {})
    return all(name in rows.header or name in first for name in ("path", *BOX_COLUMNS))


def read_boxes(file: Path) -> BoxTable:
    """A table of true boxes. Rows that cannot be used are listed.

    Raises:
        UserError: it cannot be read, or has no row that can be used.
    """
    rows = Rows(file, KNOWN | {SOUNDING, FRAME})
    read, bad = list(rows), list[tuple[str, str]](rows.bad)
    reader = PieceReader(file, rows.header or (read[0] if read else ()))
    good: dict[str, list[Row]] = defaultdict(list)
    for number, row in enumerate(read, 1):
        reader = reader.with_columns_of(row)
        reason = problem_of(row, reader)
        if reason:
            bad.append((f"row {number:,}", reason))
        else:
            good[text_of(row.get("path"))].append(row)
    if not good:
        why = f"; the first, {bad[0][0]}: {bad[0][1]}" if bad else ""
        raise UserError(f"{file}: has no row with a path and a box{why}; it needs the columns path, {', '.join(BOX_COLUMNS)}.")
    says_sounding = any(text_of(row.get(SOUNDING)).strip() for of_path in good.values() for row in of_path)
    shown = {path: of_one_frame(of_path) for path, of_path in good.items()}
    n_left_out = sum(map(len, good.values())) - sum(map(len, shown.values()))
    note = f"of films with boxes in several frames those of the middle one count; {n_left_out:,} rows do not"
    notes = rows.notes + [note] * (n_left_out > 0)
    return BoxTable(file, {path: boxes_of(own) for path, own in shown.items()}, says_sounding, bad, notes)


def problem_of(row: Mapping[str, Any], reader: PieceReader) -> str:
    """Why a row cannot be used; "" where it can."""
    if not text_of(row.get("path")):
        return "it has no path"
    _, reason = reader.read(row)
    said = text_of(row.get(SOUNDING)).strip().lower()
    return reason or ("" if said in ("", *YES, *NO) else "its sounding is neither 1 nor 0")


def of_one_frame(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of a picture, or of the middle one of the frames that are named."""
    frames = sorted({text_of(row.get(FRAME)) for row in rows}, key=lambda name: (len(name), name))
    return rows if len(frames) < 2 else [row for row in rows if text_of(row.get(FRAME)) == frames[len(frames) // 2]]


def boxes_of(rows: Sequence[Row]) -> TrueBoxes:
    """The boxes in rows that can be used."""
    with_box = [row for row in rows if text_of(row.get(BOX_COLUMNS[0])) != ""]
    names = [next((text_of(row[name]) for name in TRUTH_COLUMNS if name in row), "") for row in with_box]
    classes = tuple(name.strip() if is_class(name) else "" for name in names)
    boxes = np.array([[float(row[c]) for c in BOX_COLUMNS] for row in with_box], np.float64).reshape(-1, 4)
    sounds = np.array([text_of(row.get(SOUNDING)).strip().lower() not in NO for row in with_box], bool)
    return TrueBoxes(boxes, classes, sounds)


# ------------------------------------------------------------------------------------------------------ a folder of masks


def mask_files(folder: Path, paths: Iterable[str]) -> dict[str, Path]:
    """Path to its PNG: where the picture lies in its folder, or, where only one picture has this stem, anywhere in the folder.

    Args:
        folder: of the masks.
        paths: of the pictures, as in the run.

    Raises:
        UserError: the folder holds no PNG.
    """
    files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.suffix.lower() == ".png"}
    if not files:
        raise UserError(f"{folder}: holds no PNG; a folder of masks has a PNG of the same name for each picture.")
    files, paths = {name[: -len(".png")]: file for name, file in files.items()}, list(paths)
    by_stem = {stem: named for stem, named in stems_of(files).items() if len(named) == 1}
    n_pictures = Counter(PurePosixPath(path).stem for path in paths)
    found = {}
    for path in paths:
        place, stem = PurePosixPath(path).with_suffix("").as_posix(), PurePosixPath(path).stem
        if place in files:
            found[path] = files[place]
        elif stem in by_stem and n_pictures[stem] == 1:
            found[path] = files[by_stem[stem][0]]
    return found


def stems_of(names: Iterable[str]) -> dict[str, list[str]]:
    """Stem to the names that end with it."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for name in names:
        grouped[PurePosixPath(name).name].append(name)
    return grouped
