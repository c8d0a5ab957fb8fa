"""Exports requested on the page: each is written beside the run, to a path of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.runs.run import Run

FIRST_FORMATS = ("csv", "folders", "html", "parquet")  # the most used, listed first


class ExportJob:
    """Writes one export at a time and reports its progress.

    Args:
        run: a finished run.
        paths: (N,) its items' paths.
        source: where the items are now; None where run.toml says.
        follow_links: read what links in the source lead to.

    Attributes:
        progress: (items written, items in total) of the current or last export.
    """

    def __init__(self, run: Run, paths: Sequence[str], source: str | None, follow_links: bool):
        self.run, self.paths, self.lock = run, paths, threading.Lock()
        self.options: dict[str, Any] = {"source": source, "follow_links": follow_links}
        self.progress = (0, 0)

    def formats(self) -> list[dict[str, str]]:
        """The `name` and description (`what`) of every format that can hold this run's items."""
        from selflabel.exports import EXPORTS, fitting_formats, kind_of_items

        names = fitting_formats(kind_of_items(self.run, self.paths), self.run.pieces)
        names.sort(key=lambda name: FIRST_FORMATS.index(name) if name in FIRST_FORMATS else len(FIRST_FORMATS))
        return [{"name": name, "what": EXPORTS[name].description} for name in names]

    def write(self, name: Any) -> dict[str, Any]:
        """Write one export.

        Args:
            name: of the format.

        Returns:
            Its path (`place`) and the numbers of items written, left out and rejected.

        Raises:
            UserError: another export is being written, or the format is unknown or cannot hold these items.
        """
        from selflabel.exports import EXPORTS, default_path, export

        if not isinstance(name, str) or name not in EXPORTS:
            raise UserError(f"{str(name)[:40]}: there is no such format; there are {', '.join(EXPORTS)}.")
        if not self.lock.acquire(blocking=False):
            raise UserError("another export is being written; wait for it.")
        try:
            self.progress = (0, 0)
            path = unused_path(default_path(self.run, name), EXPORTS[name].ending)
            return export(self.run, name, path, progress=self.on_progress, **self.options).as_dict()
        finally:
            self.lock.release()

    def on_progress(self, done: int, total: int) -> None:
        self.progress = (done, total)


def unused_path(path: Path, ending: str) -> Path:
    """The path itself, or with "-2", "-3", ... before its ending, so that no earlier export is overwritten."""
    stem, free, n = path.name.removesuffix(ending), path, 1
    while free.exists():
        n += 1
        free = path.with_name(f"{stem}-{n}{ending}")
    return free
