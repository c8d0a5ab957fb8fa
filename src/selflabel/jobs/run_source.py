"""A finished run whose items are pieces of files as a SOURCE: `selflabel label RUN` labels its objects into a new run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.errors import UserError
from selflabel.items import Blob, Items, open_items
from selflabel.items.embeddings import features_of
from selflabel.items.skipped import Skipped
from selflabel.runs.missing import Missing
from selflabel.runs.opening import place_of
from selflabel.runs.pieces import PARTS
from selflabel.runs.run import FINISHED, Run


def open_source(
    source: Any,
    follow_links: bool = False,
    files: str | list[str] | None = None,
    images: str | None = None,
    features: bool = False,
) -> Items:
    """Whatever `open_items` takes, or a finished run whose items are pieces of files, or items that were opened before.

    Args:
        source, follow_links, files, images: as in `open_items`.
        features: whether a run's items are described by the features that the run has of them, and not by their files.

    Raises:
        UserError: as of `open_items`; or the files of the run's items cannot be found.
    """
    if isinstance(source, Items):
        return source
    run = run_at(source)
    return open_items(source, follow_links, files, images) if run is None else items_of_run(run, follow_links, features)


def run_at(source: Any) -> Run | None:
    """The run that a source is, where that is a run whose items are pieces of files; else None."""
    names = [source] if isinstance(source, str | Path) else source if isinstance(source, list) else []
    if len(names) != 1 or not isinstance(names[0], str | Path):
        return None
    folder = Path(names[0])
    return Run(folder) if (folder / FINISHED).is_file() and (folder / PARTS).is_file() else None


def items_of_run(run: Run, follow_links: bool = False, features: bool = False) -> Items:
    """The items of a run as items of another one; those that people rejected are left out, as are those whose file is gone.

    features: as of `open_source`.

    Raises:
        UserError: none of their files can be found.
    """
    kept = run.labels["label"].to_numpy() >= 0
    if not kept.any():
        raise UserError(f"{run.folder}: all of its items are rejected.")
    rejected = int((~kept).sum())
    notes = [f"{rejected} items of {run.folder} are rejected, and left out."] if rejected else []
    return replace(items_of_rows(run, np.flatnonzero(kept), follow_links, features), notes=notes)


def items_of_rows(run: Run, wanted: np.ndarray, follow_links: bool = False, features: bool = False) -> Items:
    """Some items of a run, by their rows; those whose file is gone are skipped. features: as of `open_source`.

    Raises:
        UserError: none of their files can be found.
    """
    all_paths, pieces, opened = run.paths, run.pieces, run.source(follow=follow_links)
    if opened.error:
        raise UserError(f"{run.folder}: its files cannot be found: {opened.error}.")
    if pieces is None or len(pieces) != len(all_paths):
        raise UserError(f"{run.folder / PARTS}: has not one line for each item; copy the run folder again.")
    rows, skipped = list[int](), list[tuple[str, str]]()
    blobs: dict[str, dict[int, Blob]] = {}
    for row in wanted.tolist():
        try:
            for m, blob in opened.source.blobs(row).items():
                blobs.setdefault(m, {})[row] = blob
            rows.append(row)
        except Missing as error:
            skipped.append(Skipped(all_paths[row], str(error), pieces[row]))
    if not rows:
        raise UserError(f"{run.folder}: none of its items can be found; the first, {skipped[0][0]}: {skipped[0][1]}.")
    by_modality = {m: [of_rows.get(row) for row in rows] for m, of_rows in blobs.items()}
    own = [all_paths[row] for row in rows]
    items = Items(str(run.folder), own, by_modality, skipped=skipped, pieces=pieces.take(rows))
    return features_of(items, run.features[rows].astype(np.float32), []) if features else items


def places_behind(source: str | Sequence[str]) -> list[str]:
    """Where the files of a run's items are, where the source is such a run: a run made from it may read there, too."""
    run = run_at(source if isinstance(source, str) else list(source))
    if run is None:
        return []
    places = place_of(run.folder, run.place_of_files)
    return [places] if isinstance(places, str) else list(places)
