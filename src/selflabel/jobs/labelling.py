"""What the jobs that label share: what they return, what they write before training, and how long their steps take."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from selflabel.base.settings import Settings
from selflabel.contract import Method, Task
from selflabel.evaluation.seen import Seen
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare import Prepared
from selflabel.jobs.run_source import places_behind
from selflabel.jobs.save import run_record
from selflabel.runs.opening import check_same_items, record_source
from selflabel.runs.origin import config_folder
from selflabel.runs.run import Run
from selflabel.runs.writing import Labelling, write_start
from selflabel.training.distributed import Ranks


@dataclass(frozen=True, eq=False)
class Labelled(Mapping[str, Any]):
    """What `label` returns. As a mapping it is the report: `labelled["n_clusters"]`, `dict(labelled)`.

    Attributes:
        report: as in report.json.
        labelling: labels, probabilities, features and neighbours; None where a finished run was found.
        method: the trained method; None where a finished run was found.
        prepared: the set it was trained on; None where a finished run was found.
        seen: what the run has seen, by which unseen items are judged (see `jobs.seen`); empty where a finished run was found.
    """

    report: dict[str, Any]
    labelling: Labelling | None = None
    method: Method | None = field(default=None, repr=False)
    prepared: Prepared | None = field(default=None, repr=False)
    seen: dict[str, Seen] = field(default_factory=dict, repr=False)

    def __getitem__(self, key: str) -> Any:
        if key in ("labelling", "prepared") and key not in self.report:  # names of version 0.1.0
            return getattr(self, key)
        return self.report[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.report)

    def __len__(self) -> int:
        return len(self.report)


def begin(
    run: Run,
    settings: Settings,
    task: Task,
    prepared: Prepared,
    device: torch.device,
    ranks: Ranks,
    callbacks: Callbacks,
    has_files: bool,
) -> None:
    """Write what is known before training: the settings, what was skipped, and where the items are."""
    if has_files:
        check_same_items(run.folder, prepared.items)
    items = prepared.items
    record = run_record(settings, task, prepared, device, ranks)
    write_start(run.folder, record, items.skipped, items.missing, items.paths, items.pieces)
    if has_files:
        record_files(run, items, settings, callbacks)


def record_files(run: Run, items: Items, settings: Settings, callbacks: Callbacks) -> None:
    """Write where the items of a run are."""
    if not record_source(run.folder, items, [*places_of(settings), *places_behind(settings.source)]):
        callbacks.say(f"{config_folder()} cannot be written, so commands that show this run's items will need --source.")


def places_of(settings: Settings) -> list[str]:
    """All that the items of a run were read from."""
    names = [settings.source] if isinstance(settings.source, str) else list(settings.source)
    files = [settings.items] if isinstance(settings.items, str) else list(settings.items or [])
    return [*names, *files, *([settings.images] if settings.images else [])]


class Timer:
    """Seconds of named steps, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.began = time.perf_counter()

    def stop(self, step: str) -> None:
        """End a step; the next one begins."""
        now = time.perf_counter()
        self.seconds[step], self.began = now - self.began, now
