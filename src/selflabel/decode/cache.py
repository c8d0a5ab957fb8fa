"""The cache of decoded items: one memory-mapped array a set, reused by the next run.

A store is a folder named by its format and its items' stamps (path, size, time). It holds `items.npy` (N, *shape),
`lengths.npy` (N,), `stamps.npy` (a 16-byte digest an item) and `bad.json`. A set that shares files with an older one copies
those rows from the older store, so nothing is decoded twice. The least recently used stores are deleted when the cap is passed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selflabel.base.cache_folder import default_cache as default_cache
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.workers import Progress, decode_rows
from selflabel.items import Blob

VERSION = 3  # of what decoding does to the bytes: another one decodes everything anew
DEFAULT_CAP_GB = 50.0
ITEM_TIMEOUT_S = 60  # for one video or sound; its worker is then killed
ABANDONED_S = 86_400  # a store still unfinished after a day was left by a killed run
DIGEST = np.dtype("V16")
COPY_BYTES = 1 << 24  # copied at a time from an older store


@dataclass(frozen=True)
class DecodedItems:
    """Decoded items of a set on disk.

    Args:
        folder: the store.
        items: (N, *shape), a read-only memory map.
        lengths: (N,) frames or samples before they repeat, 1 for an image; 0 where an item lacks the modality or failed.
        errors: row to the reason why it could not be decoded.
        n_decoded: items that were decoded now, not found in the cache.
    """

    folder: Path
    items: np.ndarray
    lengths: np.ndarray
    errors: dict[int, str]
    n_decoded: int


def decoded_items(
    blobs: Sequence[Blob | None],
    target: DecodedFormat,
    cache: Path,
    workers: int = 0,
    progress: Progress | None = None,
    timeout_s: int = ITEM_TIMEOUT_S,
) -> DecodedItems:
    """Decode all items of a set, or take them from the cache.

    Args:
        blobs: (N,) files or spans of tars; None where an item lacks the modality.
        target: what to decode them to.
        cache: the folder of the stores.
        workers: processes; 0 is one per core.
        progress: called with (done, total).
        timeout_s: seconds that one video or sound may take.

    Raises:
        OSError: the cache cannot be written.
    """
    stamps = stamps_of(blobs)
    prefix = hashlib.blake2b(f"{VERSION}|{target.stored_name}".encode(), digest_size=6).hexdigest()
    folder = cache / f"{prefix}-{hashlib.blake2b(stamps.tobytes(), digest_size=10).hexdigest()}"
    n_decoded = 0
    if (folder / "bad.json").exists():
        os.utime(folder)  # the least recently used store is deleted first
    else:
        cache.mkdir(parents=True, exist_ok=True)
        make_room(cache, len(blobs) * target.nbytes)
        building, n_decoded = build_store(blobs, stamps, target, cache, prefix, workers, progress, timeout_s)
        move_into_place(building, folder)
    errors = {int(i): reason for i, reason in json.loads((folder / "bad.json").read_text()).items()}
    items = np.load(folder / "items.npy", mmap_mode="r", allow_pickle=False)
    return DecodedItems(folder, items, np.load(folder / "lengths.npy", allow_pickle=False), errors, n_decoded)


def stamps_of(blobs: Sequence[Blob | None]) -> np.ndarray:
    """(N,) 16-byte digests that change when an item's bytes change."""
    return np.frombuffer(b"".join(hashlib.blake2b(stamp_of(b).encode(), digest_size=16).digest() for b in blobs), DIGEST)


def stamp_of(blob: Blob | None) -> str:
    """The text that is digested. A missing file has one, too: its error comes when it is decoded."""
    if blob is None:
        return "absent"
    try:
        return blob.stamp()
    except OSError:
        return f"{blob.file}|missing"


def build_store(
    blobs, stamps: np.ndarray, target: DecodedFormat, cache: Path, prefix: str, workers: int, progress, timeout_s: int
) -> tuple[Path, int]:
    """(a new store under a temporary name, how many items were decoded)."""
    folder = Path(tempfile.mkdtemp(dir=cache, prefix=".building-"))
    try:
        n = len(blobs)
        items = np.lib.format.open_memmap(folder / "items.npy", mode="w+", dtype=target.dtype, shape=(n, *target.shape))
        lengths = np.lib.format.open_memmap(folder / "lengths.npy", mode="w+", dtype=np.int32, shape=(n,))
        missing, errors = copy_known_rows(items, lengths, stamps, cache, prefix)
        missing = [i for i in missing if blobs[i] is not None]
        items.flush()
        lengths.flush()
        errors |= decode_rows(blobs, missing, target, folder, workers, progress, timeout_s)
        np.save(folder / "stamps.npy", stamps.view(np.uint8).reshape(-1, 16), allow_pickle=False)
        (folder / "bad.json").write_text(json.dumps(errors))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder, len(missing)


def move_into_place(building: Path, folder: Path) -> None:
    """Rename a finished store; another run may have been quicker, then theirs is used."""
    try:
        building.rename(folder)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)


def copy_known_rows(
    items: np.ndarray, lengths: np.ndarray, stamps: np.ndarray, cache: Path, prefix: str
) -> tuple[list[int], dict[int, str]]:
    """Copy the rows that older stores of the same format have: (rows still missing, row to reason of known failures)."""
    older = sorted(cache.glob(f"{prefix}-*"))
    row_of = {stamp: i for i, stamp in enumerate(stamps.tolist())} if older else {}  # of equal stamps the last row
    is_missing = np.ones(len(stamps), bool)
    errors: dict[int, str] = {}
    for store in older:
        try:
            known = np.load(store / "stamps.npy", allow_pickle=False)
            old_items = np.load(store / "items.npy", mmap_mode="r", allow_pickle=False)
            old_lengths = np.load(store / "lengths.npy", allow_pickle=False)
            old_errors = json.loads((store / "bad.json").read_text())
        except (OSError, ValueError):
            continue
        pairs: dict[int, int] = {}  # row here to row there
        for j, stamp in enumerate(known.view(DIGEST).reshape(-1).tolist()):
            i = row_of.get(stamp)
            if i is not None and is_missing[i]:
                pairs.setdefault(i, j)
        here, there = np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)
        is_missing[here] = False
        copy_rows(old_items, there, items, here)
        lengths[here] = old_lengths[there]
        errors |= {i: old_errors[str(j)] for i, j in pairs.items() if str(j) in old_errors}
    return np.flatnonzero(is_missing).tolist(), errors


def copy_rows(source: np.ndarray, there: np.ndarray, target: np.ndarray, here: np.ndarray) -> None:
    """target[here] = source[there], a few megabytes at a time."""
    step = max(1, COPY_BYTES // max(1, target[:1].nbytes))
    for start in range(0, len(here), step):
        target[here[start : start + step]] = source[there[start : start + step]]


# ------------------------------------------------------------------------------------------------------ size and room


def stores(cache: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, folder) of every store, oldest first."""
    folders = [folder for folder in cache.glob("[0-9a-f]*") if folder.is_dir()]
    return sorted((folder.stat().st_mtime, sum(f.stat().st_size for f in folder.iterdir()), folder) for folder in folders)


def make_room(cache: Path, nbytes: int) -> None:
    """Delete the least recently used stores until `nbytes` more fit under SELFLABEL_CACHE_GB (50 unless set)."""
    cap = float(os.environ.get("SELFLABEL_CACHE_GB", DEFAULT_CAP_GB)) * 1e9
    for folder in cache.glob(".building-*"):
        if time.time() - folder.stat().st_mtime > ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
    remaining = stores(cache)
    while remaining and sum(size for _, size, _ in remaining) + nbytes > cap:
        shutil.rmtree(remaining.pop(0)[2], ignore_errors=True)


def clear(cache: Path) -> int:
    """Delete every store; returns the bytes freed."""
    everything = stores(cache)
    for folder in [*(folder for _, _, folder in everything), *cache.glob(".building-*")]:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(size for _, size, _ in everything)
