"""Exports asked for on the page: written beside the run, to a place of their own each time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.runs.run import Run

FIRST = ("csv", "folders", "html", "parquet")  # what most people want, offered first


class Taking:
    """One export at a time, with how far it is."""

    def __init__(self, run: Run, paths: Sequence[str], source: str | None, follow: bool):
        self.run, self.paths, self.lock = run, paths, threading.Lock()
        self.how: dict[str, Any] = {"source": source, "follow_links": follow}
        self.done = (0, 0)

    def formats(self) -> list[dict[str, str]]:
        """Those that can hold this run's items."""
        from selflabel.exports import EXPORTS, kind_of_items

        kind = kind_of_items(self.run, self.paths)
        fitting = [name for name, chosen in EXPORTS.items() if kind in chosen.takes]
        names = sorted(fitting, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
        return [{"name": name, "what": EXPORTS[name].what} for name in names]

    def take(self, name: str) -> dict[str, Any]:
        """Write one and say where it is.

        Raises:
            UserError: another is being written, or the format cannot hold these items.
        """
        from selflabel.exports import EXPORTS, default_place, export

        if not self.lock.acquire(blocking=False):
            raise UserError("another export is being written; wait for it.")
        try:
            self.done = (0, 0)
            ending = EXPORTS[name].ending if name in EXPORTS else ""
            place = unused(default_place(self.run, name), ending)
            return export(self.run, name, place, progress=self.heard, **self.how).as_dict()
        finally:
            self.lock.release()

    def heard(self, done: int, total: int) -> None:
        self.done = (done, total)


def unused(place: Path, ending: str) -> Path:
    """The place itself, or one with the next number: what an earlier export wrote is left as it is."""
    stem, found, n = place.name.removesuffix(ending), place, 1
    while found.exists():
        n += 1
        found = place.with_name(f"{stem}-{n}{ending}")
    return found
