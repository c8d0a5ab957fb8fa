"""Export a run: what is done around every format."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import selflabel
from selflabel.base.errors import UserError
from selflabel.base.files import remove_leftovers, write_atomically, write_text
from selflabel.exports.context import LEFT_OUT, ExportContext, Progress, SkippedItems, open_context
from selflabel.exports.destination import RECORD, TEMPORARY, atomic_folder, check_destination, default_path, writable
from selflabel.exports.fitting import check_fits
from selflabel.exports.registry import Format, find_format
from selflabel.runs.run import Run

FILE_MODES = ("copy", "hard", "link")


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote. The names are those of `selflabel export --json`.

    Attributes:
        place: the file or folder.
        n_items: items in it.
        n_left_out: items that could not be read.
        n_rejected: items that people rejected, or that fit no cluster.
        first_left_out: path of the first that could not be read, and why.
        n_changed: files with another time of change than when they were labelled; copies have one.
        first_changed: the first of them.
    """

    place: Path
    n_items: int
    n_left_out: int
    n_rejected: int
    first_left_out: str = ""
    n_changed: int = 0
    first_changed: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The values as JSON takes them."""
        return {**asdict(self), "place": str(self.place)}


def export(
    run: Run,
    to: str,
    out: Path | None = None,
    *,
    raw: bool = False,
    how: str = "copy",
    overwrite: bool = False,
    source: str | None = None,
    follow_links: bool = False,
    progress: Progress = lambda done, total: None,
) -> ExportResult:
    """Write a run's labels, edits applied, in a format.

    Args:
        run: a finished run.
        to: a name in EXPORTS.
        out: the file or folder to write; None is beside the run, named by it and by the format.
        raw: leave edits aside.
        how: items' files are copied ("copy"), hard-linked ("hard") or linked ("link").
        overwrite: replace what an earlier export wrote there.
        source: where the items are now, where that is not what run.toml says.
        follow_links: read what links in the source lead to, wherever that is.
        progress: called with (items done, items in total).

    Raises:
        UserError: there is no such format, it cannot hold the items, no item can be read, or the place is taken.
    """
    export_format = find_format(to)
    if how not in FILE_MODES or (how != "copy" and not export_format.can_link):
        raise UserError(f"--{how}: {to} writes files of its own; leave it out.")
    path = (out or default_path(run, to)).absolute()
    with writable(path):
        check_destination(path, export_format.ending, overwrite)
    remove_leftovers(path.parent, path.stem if export_format.ending else TEMPORARY)
    context = open_context(run, path.name, raw, how, source, follow_links, progress)
    check_fits(to, export_format, context)
    if not len(context.rows):
        raise UserError(f"{run.folder}: every item is rejected, so nothing is left to export; add --raw, or restore some.")
    if export_format.ending:
        with writable(path):
            write_atomically(path, lambda p: export_format.write(context, p))
        return result_of(path, context)
    with atomic_folder(path) as folder:
        result = write_folder(to, export_format, context, folder, path)
    return result


def write_folder(to: str, export_format: Format, context: ExportContext, folder: Path, path: Path) -> ExportResult:
    """Write a format that is a folder, with the list of what is left out and export.json.

    Args:
        to: the format's name.
        export_format: the format.
        context: the items.
        folder: where to write.
        path: what the folder will be renamed to.
    """
    context = replace(context, skipped=SkippedItems(folder / LEFT_OUT, context.piece_columns))
    try:
        outliers = context.outliers
        for row in np.flatnonzero(context.labels < 0):
            reason = "fits no cluster" if outliers[row] else "rejected"
            piece = None if context.pieces is None else context.pieces[row]
            context.skipped.write_row(context.paths[int(row)], reason, piece)
        details = export_format.write(context, folder) or {}
    finally:
        context.skipped.close()
    result = result_of(path, context)
    if not result.n_items:
        first = result.first_left_out
        raise UserError(f"{context.run.folder}: none of its {len(context.rows)} items can be read; the first, {first}.")
    if not result.n_left_out + result.n_rejected:
        (folder / LEFT_OUT).unlink()
    write_text(folder / RECORD, json.dumps(record(to, context, result) | details, indent=1, ensure_ascii=False) + "\n")
    return result


def result_of(path: Path, context: ExportContext) -> ExportResult:
    n, skipped = len(context.rows), context.skipped
    changed = sorted(getattr(context.source, "changed", ()))
    n_rejected = len(context.labels) - n
    return ExportResult(path, n - skipped.count, skipped.count, n_rejected, skipped.first, len(changed), (changed or [""])[0])


def record(to: str, context: ExportContext, result: ExportResult) -> dict[str, Any]:
    """export.json, without what the format adds."""
    return {
        "format": to,
        "run": str(context.run.folder.resolve()),
        "selflabel": selflabel.__version__,
        "edits_applied": not context.raw,
        "n_items": result.n_items,
        "n_left_out": result.n_left_out,
        "n_rejected": result.n_rejected,
        "classes": [asdict(category) for category in context.categories],
    }
