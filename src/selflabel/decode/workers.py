"""Decoding and inspecting items in worker processes. Imports no torch."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.base.container import usable_cores
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.limits import DEFAULT_LIMITS, Failure, Limits
from selflabel.decode.processes import Task, run_tasks
from selflabel.decode.spans import SpanDecoder, SpanOfFile, is_span, span_tasks
from selflabel.decode.store import names_of_arrays
from selflabel.items import Blob

IMAGES_PER_TASK, MEDIA_PER_TASK = 64, 8  # images, and videos or sounds, that a worker decodes at a time
MEDIA_LIBRARIES = ("av",)  # that are imported late, because pictures do without them
SLOW_ENOUGH = 4  # items of a sample that take too long: then what was found is used
FULL_BYTES = 1 << 22  # a disk with less room is full

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


class Decode:
    """Decodes an item into its row of a store.

    Args:
        target: what to decode to.
        folder: of the store.
    """

    def __init__(self, target: DecodedFormat, folder: Path):
        self.target, self.folder = target, folder
        self.libraries = () if target.kind == "image" else MEDIA_LIBRARIES

    def __call__(self, row: int, item: Blob | SpanOfFile) -> None:
        values = self.spans.decode(item) if isinstance(item, SpanOfFile) else self.target.decode(item)
        for array, value in zip(self.arrays, values):
            array[row] = value

    @cached_property
    def spans(self) -> SpanDecoder:
        return SpanDecoder(self.target)

    @cached_property
    def arrays(self) -> list[np.ndarray]:
        files = [self.folder / f"{name}.npy" for name in names_of_arrays(self.target)]
        return [np.load(file, mmap_mode="r+", allow_pickle=False) for file in files if file.exists()]


def decode_rows(
    blobs: Sequence[Blob | None],
    rows: list[int],
    target: DecodedFormat,
    folder: Path,
    workers: int = 0,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
    say: Say | None = None,
) -> dict[int, Failure]:
    """Decode items into their rows of `items.npy`, `lengths.npy` and, of films and sounds, `spans.npy` in a folder.

    Args:
        blobs: (N,) of the set.
        rows: the rows to decode; none of their blobs is None.
        target: what to decode them to.
        folder: the store that is being built.
        workers: processes; 0 is one for each core that may be used.
        progress: called with (done, total) several times a second; what it raises ends the workers.
        limits: of one item.
        say: called with a sentence for the user, where items take too long.

    Returns:
        The rows that could not be decoded, with the reason.

    Raises:
        OSError: the disk is full.
    """
    workers = workers or usable_cores()
    tasks = tasks_of({row: blob for row in rows if (blob := blobs[row]) is not None}, target, workers)
    count = max(1, min(workers, len(tasks)))
    slow = SlowItems(blobs, limits, say)

    def on_failure(row: int, failure: Failure) -> None:
        if "SIGBUS" in failure.reason and shutil.disk_usage(folder).free < FULL_BYTES:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        slow.add(row, failure)

    tick = (lambda done: progress(done, len(rows))) if progress else (lambda done: None)
    return run_tasks(Decode(target, folder), tasks, count, limits, tick, on_failure)


def tasks_of(rows: dict[int, Blob], target: DecodedFormat, workers: int) -> list[Task]:
    """What one worker does at a time: some files, or the spans of one file. rows: row to its blob."""
    spans = {row: blob for row, blob in rows.items() if is_span(blob, target)}
    whole = [(row, blob) for row, blob in rows.items() if row not in spans]
    size = IMAGES_PER_TASK if target.kind == "image" else MEDIA_PER_TASK
    return [*(whole[i : i + size] for i in range(0, len(whole), size)), *(span_tasks(spans, workers) if spans else ())]


class SlowItems:
    """Says the first, the tenth, the hundredth ... time that an item took too long."""

    def __init__(self, blobs: Sequence[Blob | None], limits: Limits, say: Say | None):
        self.blobs, self.limits, self.say, self.count, self.next = blobs, limits, say, 0, 1

    def add(self, row: int, failure: Failure) -> None:
        """Count an item that failed."""
        if not failure.reason.startswith("took more than"):
            return
        self.count += 1
        if self.say and self.count == self.next:
            self.next *= 10
            blob = self.blobs[row]
            items = "1 item" if self.count == 1 else f"{self.count} items"
            hint = f"--set item_seconds={self.limits.seconds / 3:.2g} waits for less"
            self.say(f"{items} took more than {self.limits.seconds:g} s each, and are skipped; the last, "
                     f"{blob.file if blob else row}; {hint}")  # fmt: skip


def inspect_blobs(
    inspect: Callable[[Blob], Any],
    blobs: Sequence[Blob | None],
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
    say: Say | None = None,
    libraries: tuple[str, ...] = (),
) -> list[Any]:
    """inspect(blob) of each blob in a worker; what it returns should be small.

    Args:
        inspect: a function of a module; it is pickled.
        blobs: of a sample.
        limits: of one item.
        progress: called with (done, total) several times a second.
        say: called with a sentence for the user, where items take too long.
        libraries: that it needs and that are imported late.

    Returns:
        What was returned, in the order of the blobs, without None and without items that failed. Some items that take too long
        end the inspection.
    """
    rows = [(i, blob) for i, blob in enumerate(blobs) if blob is not None]
    count = max(1, min(usable_cores(), len(rows)))
    tasks = [rows[i::count] for i in range(count)]
    slow = SlowItems(blobs, limits, say)

    def tick(done: int) -> bool:
        if progress:
            progress(done, len(rows))
        return slow.count >= SLOW_ENOUGH

    found = run_tasks(Inspect(inspect, libraries), tasks, count, limits, tick, slow.add)
    return [found[i] for i in sorted(found) if not isinstance(found[i], Failure)]


class Inspect:
    """A function of a blob as a function of a row and a blob."""

    def __init__(self, inspect: Callable[[Blob], Any], libraries: tuple[str, ...]):
        self.inspect, self.libraries = inspect, libraries

    def __call__(self, row: int, blob: Blob) -> Any:
        return self.inspect(blob)
