"""The items of a finished run, read and decoded again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.model import Model
from selflabel.jobs.prepare import Prepared
from selflabel.runs.run import Run


def prepare_again(run: Run, model: Model, callbacks: Callbacks, source: str | None) -> Prepared:
    """A run's items, prepared as the run's were; source: where they are now, None where the run recorded it."""
    links = run.settings.get("follow_links", False)
    return model.prepare(source or run.place, callbacks, links, images=None if source else run.images)


def rows_in_run(run: Run, paths: Sequence[str]) -> list[int]:
    """(M,) the row of each item in the run, -1 where it is not there; the n-th item of a path is the run's n-th of that path.

    Args:
        run: finished.
        paths: (M,) of the items as they are read now.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, path in enumerate(run.paths.column.to_pylist()):
        rows[path].append(row)
    turns = {path: iter(found) for path, found in rows.items()}
    return [next(turns[path], -1) if path in turns else -1 for path in paths]
