"""Decoding in worker processes: a worker that crashes or hangs costs only the item that it was decoding."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.decode.formats import DecodedFormat
from selflabel.decode.image import Undecodable
from selflabel.items import Blob

IMAGES_PER_TASK, MEDIA_PER_TASK = 64, 8  # images, and videos or sounds, that a worker decodes at a time

Task = list[tuple[int, Blob]]  # rows and their blobs
Progress = Callable[[int, int], None]


def decode_rows(
    blobs: Sequence[Blob | None],
    rows: list[int],
    target: DecodedFormat,
    folder: Path,
    workers: int = 0,
    progress: Progress | None = None,
    timeout_s: int = 0,
) -> dict[int, str]:
    """Decode items into their rows of `items.npy` and `lengths.npy` in a folder.

    Args:
        blobs: (N,) of the set.
        rows: the rows to decode; none of their blobs is None.
        target: what to decode them to.
        folder: the store that is being built.
        workers: processes; 0 is one per core. Images are decoded in this process where one worker is enough.
        progress: called with (done, total).
        timeout_s: seconds that an item may take in a worker; 0 is no limit.

    Returns:
        The rows that could not be decoded, with the reason.
    """
    size = IMAGES_PER_TASK if target.kind == "image" else MEDIA_PER_TASK
    chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
    workers = min(workers or os.cpu_count() or 1, len(chunks))
    tasks = ([(i, blob) for i in chunk if (blob := blobs[i]) is not None] for chunk in chunks)
    if workers <= 1 and target.kind == "image":
        return decode_in_this_process(tasks, target, folder, len(rows), progress)
    return decode_in_workers(list(tasks), target, folder, max(1, workers), len(rows), progress, timeout_s)


def decode_in_this_process(tasks, target: DecodedFormat, folder: Path, total: int, progress: Progress | None) -> dict[int, str]:
    errors: dict[int, str] = {}
    done = 0
    for task in tasks:
        errors |= decode_task(task, target, str(folder), 0)
        done += len(task)
        if progress:
            progress(done, total)
    return errors


def decode_in_workers(
    tasks: list[Task],
    target: DecodedFormat,
    folder: Path,
    workers: int,
    total: int,
    progress: Progress | None,
    timeout_s: int,
) -> dict[int, str]:
    errors: dict[int, str] = {}
    done = 0
    while tasks:
        unfinished = []
        with worker_pool(workers) as pool:
            for task, future in [(task, pool.submit(decode_task, task, target, str(folder), timeout_s)) for task in tasks]:
                try:
                    errors |= future.result()
                except BrokenProcessPool:
                    unfinished.append(task)
                    continue
                done += len(task)
                if progress:
                    progress(done, total)
        # the dead worker was at one of the first tasks that are left; the others only lost their pool
        suspects, tasks = unfinished[:workers], unfinished[workers:]
        for item in (item for task in suspects for item in task):
            errors |= decode_in_own_process(item, target, folder, timeout_s)
            done += 1
    return errors


def decode_in_own_process(item: tuple[int, Blob], target: DecodedFormat, folder: Path, timeout_s: int) -> dict[int, str]:
    """Decode one item in a process that nothing else needs, after its task killed a worker."""
    with worker_pool(1) as pool:
        try:
            return pool.submit(decode_task, [item], target, str(folder), timeout_s).result()
        except BrokenProcessPool:
            return {item[0]: f"the decoder crashed on it, or took over {timeout_s} s"}


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that leave Ctrl-C to their parent."""
    context = multiprocessing.get_context("spawn")
    with without_main_script(), ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield pool


@contextmanager
def without_main_script() -> Iterator[None]:
    """Keep fresh processes from running the caller's script: one that labels in its first lines would start over in each."""
    main: dict[str, Any] = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
    try:
        main["__spec__"] = None
        main.pop("__file__", None)
        yield
    finally:
        main.update(hidden)


def decode_task(task: Task, target: DecodedFormat, folder: str, timeout_s: int) -> dict[int, str]:
    """Decode items into their rows on disk; what a worker runs. Returns the rows that failed with the reason.

    An item that takes longer than `timeout_s` seconds (0: never) kills the process by SIGALRM: a decoder that hangs in C
    reacts to nothing else.
    """
    items = np.load(Path(folder) / "items.npy", mmap_mode="r+", allow_pickle=False)
    lengths = np.load(Path(folder) / "lengths.npy", mmap_mode="r+", allow_pickle=False)
    errors = {}
    for row, blob in task:
        if timeout_s:
            set_alarm(timeout_s)
        try:
            items[row], lengths[row] = target.decode(blob)
        except Undecodable as error:
            errors[row] = str(error)
        except OSError as error:
            errors[row] = f"cannot be read ({error.strerror or error})"
    if timeout_s:
        set_alarm(0)
    return errors


def set_alarm(seconds: int) -> None:
    """SIGALRM after so many seconds, or never (0); Windows has none."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)
