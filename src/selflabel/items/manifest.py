"""Items of a manifest: a .csv, .jsonl or .parquet table with a column of paths."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.items.endings import ENDINGS, KINDS, MODALITIES
from selflabel.items.files import OutsideFolder, file_below
from selflabel.items.grouping import modalities_of
from selflabel.items.table import Blob, Items

PATH_COLUMNS = ("path", *KINDS)
TRUTH_COLUMNS = ("truth", "label", "class")


def from_manifest(file: Path) -> Items:
    """The items of a manifest: relative paths may not leave its folder, absolute ones are used as they are.

    Args:
        file: a table with a column `path`, or columns `image`, `video`, `audio`; `truth`, `label` or `class` is the truth.

    Raises:
        UserError: it cannot be read, has no such column, or names no file.
    """
    rows = read_rows(file)
    if not rows:
        raise UserError(f"{file}: the manifest is empty; it needs a line per item and a 'path' column.")
    columns = path_columns(rows)
    if not columns:
        raise UserError(f"{file}: the manifest has no 'path' column; it has: {', '.join(map(str, rows[0]))}.")
    truth_column = next((c for c in TRUTH_COLUMNS if c in rows[0]), None)
    root = file.parent.resolve()
    paths: list[str] = []
    truth: list[str] = []
    skipped: list[tuple[str, str]] = []
    table: dict[str, list[Blob | None]] = {m: [] for m in MODALITIES}
    for row in rows:
        path, blobs, reason = manifest_item(root, row, columns)
        if reason:
            skipped.append((path, reason))
            continue
        paths.append(path)
        truth.append(str(row.get(truth_column)))
        for m in MODALITIES:
            table[m].append(blobs.get(m))
    if not paths:
        raise UserError(f"{file}: none of its {len(rows)} paths can be used; the first: {skipped[0][0]!r} {skipped[0][1]}.")
    some = {m: blobs for m, blobs in table.items() if any(blob is not None for blob in blobs)}
    return Items(str(file), paths, some, truth=truth if truth_column else None, skipped=skipped)


def manifest_item(root: Path, row: Mapping[str, Any], columns: list[str]) -> tuple[str, dict[str, Blob], str]:
    """(path as people see it, blob of every modality, reason it cannot be used or "") of a line."""
    texts = {c: str(row.get(c) or "") for c in columns}
    path = next((text for text in texts.values() if text), "")
    group: dict[str, Blob] = {}
    for column, name in texts.items():
        if not name and column != "path":
            continue
        reason, place = manifest_file(root, name)
        if reason:
            return name or path, {}, reason
        group.setdefault(kind_of_column(column, name), Blob(str(place)))
    return (path, modalities_of(group), "") if group else (path, {}, "the path is empty")


def path_columns(rows: list[dict]) -> list[str]:
    """The columns that hold paths, `path` first."""
    return [c for c in PATH_COLUMNS if rows and c in rows[0]]


def kind_of_column(column: str, name: str) -> str:
    """What a manifest's cell holds: columns other than `path` are named by it; of a path its ending tells, "image" if none."""
    return column if column != "path" else ENDINGS.get(Path(name).suffix.lower(), "image")


def manifest_file(root: Path, name: str) -> tuple[str, Path]:
    """(reason it cannot be used or "", file) of a name; `root` is the manifest's folder, resolved."""
    if not name.strip() or "\0" in name:
        return "the path is empty", root
    file = Path(name)
    try:
        if file.is_absolute():
            return ("", file) if file.is_file() else ("no such file", file)
        return "", file_below(root, name)
    except OutsideFolder:
        return "the path leaves the manifest's folder", file
    except (OSError, ValueError):  # a name that is too long is an OSError, too
        return "no such file", file


def read_rows(path: Path) -> list[dict]:
    """The rows of a .csv, .jsonl or .parquet table, a dict each.

    Raises:
        UserError: it cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet

            return pyarrow.parquet.read_table(path).to_pylist()
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(text.splitlines()))
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a {path.suffix} table ({error}).") from error
    if not all(isinstance(row, dict) for row in rows):
        raise UserError(f'{path}: every line must be an object such as {{"path": "a.jpg"}}.')
    return rows
