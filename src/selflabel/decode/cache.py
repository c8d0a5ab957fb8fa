"""The store of decoded items: one memory-mapped array a set, written by worker processes, reused by the next run.

A store is a folder named by its settings and its items' stamps (path, size, time). It holds `items.npy` (N, *shape),
`lengths.npy` (N,), `stamps.npy` (a 16-byte digest an item) and `bad.json`. A set that shares files with an older one takes
those rows from the older store, so nothing is decoded twice. The oldest stores go when the cap is passed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from selflabel.decode.image import Undecodable, decode_square
from selflabel.decode.sound import decode_sound
from selflabel.decode.video import decode_clip, source_of
from selflabel.items import Blob

VERSION = 3
DEFAULT_CAP_GB = 50.0
CHUNK, FILMS = 64, 8  # pictures, and films or sounds, that a worker decodes at a time
MOST_S = 60  # for one item; the worker is then killed
ABANDONED_S = 86_400  # a store still unfinished after a day was left by a killed run
DIGEST = np.dtype("V16")


def default_cache() -> Path:
    """SELFLABEL_CACHE, or selflabel/ in the user's cache folder."""
    named = os.environ.get("SELFLABEL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named) if named else Path(base) / "selflabel"


@dataclass(frozen=True)
class Form:
    """What items become: an "image" (C, px, px) or a "clip" (frames, 3, px, px) of uint8, or a "sound" (samples,) of int16."""

    kind: str
    shape: tuple[int, ...]
    rate: float = 0  # of a sound, samples a second; of a clip, frames, 0 where they are spread over the film

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.int16 if self.kind == "sound" else np.uint8)

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def decode(self, blob: Blob) -> tuple[np.ndarray, int]:
        """The item and its length: of the frames or samples how many there are before they loop; 1 for a picture."""
        if self.kind == "image":
            return decode_square(blob.read(), self.shape[1], self.shape[0]), 1
        if self.kind == "clip":
            return decode_clip(source_of(blob), self.shape[0], self.shape[2], self.rate)
        return decode_sound(source_of(blob), self.shape[0], int(self.rate))


@dataclass(frozen=True)
class Store:
    """Decoded items on disk: `items` is a read-only memory map (N, *shape), `lengths` (N,) is 0 where an item lacks the modality;
    `bad` maps a row to its reason.
    """

    folder: Path
    items: np.ndarray
    lengths: np.ndarray
    bad: dict[int, str]
    decoded: int  # items that had to be decoded now, and were not found in the cache


def decoded_items(
    blobs: list[Blob | None],
    form: Form,
    cache: Path,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    most_s: int = MOST_S,
) -> Store:
    """All items of a set, decoded: from the cache where they are known, by worker processes where they are not.

    Args:
        blobs: files or stretches of tars; None where an item lacks the modality.
        form: what to decode them to.
        cache: the folder that holds the stores.
        workers: processes; 0 means one a core.
        progress: called with (done, total).
        most_s: seconds that a film or sound may take.
    """
    stamps = np.array([hashlib.blake2b(s.encode(), digest_size=16).digest() for s in map(stamp_of, blobs)], DIGEST)
    settings = hashlib.blake2b(f"{VERSION}|{form}".encode(), digest_size=6).hexdigest()
    name = f"{settings}-{hashlib.blake2b(stamps.tobytes(), digest_size=10).hexdigest()}"
    folder = cache / name
    if not (folder / "bad.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        make_room(cache, len(blobs) * form.nbytes)
        fresh = build(blobs, stamps, form, cache, settings, workers, progress, most_s)
        decoded = fresh[1]
        settle(fresh[0], folder)
    else:
        decoded = 0
        os.utime(folder)
    bad = {int(i): reason for i, reason in json.loads((folder / "bad.json").read_text()).items()}
    items = np.load(folder / "items.npy", mmap_mode="r", allow_pickle=False)
    return Store(folder, items, np.load(folder / "lengths.npy", allow_pickle=False), bad, decoded)


def stamp_of(blob: Blob | None) -> str:
    if blob is None:
        return "absent"
    try:
        return blob.stamp()
    except OSError:
        return f"{blob.file}|missing"


def settle(built: Path, folder: Path) -> None:
    """Rename a finished store into place; another run may have been quicker, then theirs is used."""
    try:
        built.rename(folder)
    except OSError:
        shutil.rmtree(built, ignore_errors=True)


def build(blobs, stamps, form: Form, cache: Path, settings: str, workers: int, progress, most_s: int) -> tuple[Path, int]:
    folder = Path(tempfile.mkdtemp(dir=cache, prefix=".building-"))
    try:
        n = len(blobs)
        items = np.lib.format.open_memmap(folder / "items.npy", mode="w+", dtype=form.dtype, shape=(n, *form.shape))
        lengths = np.lib.format.open_memmap(folder / "lengths.npy", mode="w+", dtype=np.int32, shape=(n,))
        missing, bad = take_known(items, lengths, stamps, cache, settings)
        missing = [i for i in missing if blobs[i] is not None]
        items.flush()
        lengths.flush()
        bad |= decode_rows(blobs, missing, form, folder, workers, progress, most_s)
        np.save(folder / "stamps.npy", stamps.view(np.uint8).reshape(-1, 16), allow_pickle=False)
        (folder / "bad.json").write_text(json.dumps(bad))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, len(missing)


def take_known(
    items: np.ndarray, lengths: np.ndarray, stamps: np.ndarray, cache: Path, settings: str
) -> tuple[list[int], dict[int, str]]:
    """Copy rows that an older store of the same settings has; returns the rows still missing and the known bad ones."""
    wanted = {s.tobytes(): i for i, s in enumerate(stamps)}
    missing, bad = set(range(len(stamps))), {}
    for other in sorted(cache.glob(f"{settings}-*")):
        try:
            known = np.load(other / "stamps.npy", allow_pickle=False)
            theirs = np.load(other / "items.npy", mmap_mode="r", allow_pickle=False)
            their_lengths = np.load(other / "lengths.npy", allow_pickle=False)
            was_bad = json.loads((other / "bad.json").read_text())
        except (OSError, ValueError):
            continue
        for j, stamp in enumerate(known):
            i = wanted.get(stamp.tobytes())
            if i is not None and i in missing:
                missing.discard(i)
                items[i], lengths[i] = theirs[j], their_lengths[j]
                if str(j) in was_bad:
                    bad[i] = was_bad[str(j)]
    return sorted(missing), bad


def decode_rows(blobs, rows: list[int], form: Form, folder: Path, workers: int, progress, most_s: int) -> dict[int, str]:
    """Decode rows into the array on disk. A worker that dies costs only the item that killed it."""
    chunk = CHUNK if form.kind == "image" else FILMS
    chunks = [rows[i : i + chunk] for i in range(0, len(rows), chunk)]
    tasks = [[(i, blobs[i]) for i in chunk] for chunk in chunks]
    workers = min(workers or os.cpu_count() or 1, len(tasks))
    if workers <= 1 and form.kind == "image":
        return decode_here(tasks, form, folder, len(rows), progress)
    bad: dict[int, str] = {}
    done = 0
    while tasks:
        unfinished = []
        with processes(max(1, workers)) as pool:
            for task, future in [(task, pool.submit(decode_chunk, task, form, str(folder), most_s)) for task in tasks]:
                try:
                    bad |= future.result()
                except BrokenProcessPool:
                    unfinished.append(task)
                    continue
                done += len(task)
                if progress:
                    progress(done, len(rows))
        # the dead worker was at one of the first that are left; the others only lost their pool
        suspects, tasks = unfinished[: max(1, workers)], unfinished[max(1, workers) :]
        for item in (one for task in suspects for one in task):
            bad |= decode_alone(item, form, folder, most_s)
            done += 1
    return bad


@contextmanager
def processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes that leave Ctrl-C to their parent."""
    context = multiprocessing.get_context("spawn")
    with script_hidden(), ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield pool


@contextmanager
def script_hidden() -> Iterator[None]:
    """Keep fresh processes from running the caller's script: one that labels in its first lines would start over in each."""
    main: dict[str, Any] = vars(sys.modules["__main__"])
    shown: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
    try:
        main["__spec__"] = None
        main.pop("__file__", None)
        yield
    finally:
        main.update(shown)


def decode_here(tasks, form: Form, folder: Path, total: int, progress) -> dict[int, str]:
    bad: dict[int, str] = {}
    done = 0
    for task in tasks:
        bad |= decode_chunk(task, form, str(folder), 0)
        done += len(task)
        if progress:
            progress(done, total)
    return bad


def decode_alone(item: tuple[int, Blob], form: Form, folder: Path, most_s: int) -> dict[int, str]:
    """One item in a process of its own, after its chunk killed a worker."""
    with processes(1) as pool:
        try:
            return pool.submit(decode_chunk, [item], form, str(folder), most_s).result()
        except BrokenProcessPool:
            return {item[0]: f"the decoder crashed on it, or took over {most_s} s"}


def decode_chunk(task: list[tuple[int, Blob]], form: Form, folder: str, most_s: int) -> dict[int, str]:
    """Runs in a worker: decode items straight into their rows on disk; returns the bad ones with the reason.

    The system kills the process over an item that takes over `most_s` seconds (0: never): one that hangs hears nothing else.
    """
    items = np.load(Path(folder) / "items.npy", mmap_mode="r+", allow_pickle=False)
    lengths = np.load(Path(folder) / "lengths.npy", mmap_mode="r+", allow_pickle=False)
    bad = {}
    for row, blob in task:
        if most_s and hasattr(signal, "alarm"):
            signal.alarm(most_s)
        try:
            items[row], lengths[row] = form.decode(blob)
        except Undecodable as error:
            bad[row] = str(error)
        except OSError as error:
            bad[row] = f"cannot be read ({error.strerror or error})"
    if most_s and hasattr(signal, "alarm"):
        signal.alarm(0)
    return bad


# ------------------------------------------------------------------------------------------------------ size and room


def stores(cache: Path) -> list[tuple[float, int, Path]]:
    """(last use, bytes, folder) of every store, oldest first."""
    found = []
    for folder in cache.glob("[0-9a-f]*"):
        if folder.is_dir():
            found.append((folder.stat().st_mtime, sum(f.stat().st_size for f in folder.iterdir()), folder))
    return sorted(found)


def make_room(cache: Path, coming: int) -> None:
    """Drop the least recently used stores until `coming` bytes fit under SELFLABEL_CACHE_GB (50 unless set)."""
    cap = float(os.environ.get("SELFLABEL_CACHE_GB", DEFAULT_CAP_GB)) * 1e9
    for folder in cache.glob(".building-*"):
        if time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
    kept = stores(cache)
    while kept and sum(size for _, size, _ in kept) + coming > cap:
        shutil.rmtree(kept.pop(0)[2], ignore_errors=True)


def clear(cache: Path) -> int:
    """Delete every store; returns the bytes freed."""
    kept = stores(cache)
    for _, _, folder in kept:
        shutil.rmtree(folder, ignore_errors=True)
    for folder in cache.glob(".building-*"):
        shutil.rmtree(folder, ignore_errors=True)
    return sum(size for _, size, _ in kept)
