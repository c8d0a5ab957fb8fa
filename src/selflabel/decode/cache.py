"""The cache of decoded items: one memory-mapped array a set, reused by the next run.

A store (see `decode.store`) is named by its format and its items' stamps (path, size, time). A set that shares files with an
older one copies those rows from the older store, so nothing is decoded twice. The least recently used stores are deleted when the
cap is passed, or the disk is full (see `decode.room`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selflabel.base.cache_folder import default_cache
from selflabel.base.errors import CannotWrite
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.limits import DEFAULT_LIMITS, Failure, Limits
from selflabel.decode.room import LOCK, building_folder, cache_errors, clear, make_room, stores, usable_cache
from selflabel.decode.store import DIGEST, Store, make_arrays, read_store, remove, write_failures
from selflabel.decode.workers import Progress, Say, decode_rows
from selflabel.items import Blob

__all__ = ["DecodedItems", "clear", "decoded_items", "default_cache", "make_room", "stores", "usable_cache"]

VERSION = 3  # of what decoding does to the bytes: another one decodes everything anew
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
        spans_s, sizes: as in `store.Store`.
    """

    folder: Path
    items: np.ndarray
    lengths: np.ndarray
    errors: dict[int, str]
    n_decoded: int
    spans_s: np.ndarray | None = None
    sizes: np.ndarray | None = None


@dataclass(frozen=True)
class Decoding:
    """How items are decoded; none of it changes the result.

    Args:
        workers: processes; 0 is one for each core that may be used.
        limits: of one item.
        progress: called with (done, total).
        say: called with a sentence for the user.
    """

    workers: int = 0
    limits: Limits = DEFAULT_LIMITS
    progress: Progress | None = None
    say: Say | None = None


def decoded_items(
    blobs: Sequence[Blob | None],
    target: DecodedFormat,
    cache: Path,
    workers: int = 0,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
    say: Say | None = None,
) -> DecodedItems:
    """Decode all items of a set, or take them from the cache.

    Args:
        blobs: (N,) files or spans of tars; None where an item lacks the modality.
        target: what to decode them to.
        cache: the folder of the stores.
        workers, progress, limits, say: see `Decoding`.

    Raises:
        UserError: the cache cannot be written, or is full.
    """
    how = Decoding(workers, limits, progress, say)
    stamps = stamps_of(blobs)
    prefix, folder = prefix_of(target), folder_of(stamps, target, cache)
    store, n_decoded = read_store(folder, target), 0
    if store is not None and store.stamps.tobytes() == stamps.tobytes():
        with suppress(OSError):  # of a cache that may only be read
            os.utime(folder)  # the least recently used store is deleted first
        store, n_decoded = tried_again(store, blobs, target, how)
    else:
        nbytes = len(blobs) * target.nbytes
        with cache_errors(cache, nbytes):
            cache.mkdir(parents=True, exist_ok=True)
            make_room(cache, nbytes)
            store, n_decoded = build_store(blobs, stamps, target, folder, prefix, how)
    errors = {row: failure.reason for row, failure in store.failures.items()}
    return DecodedItems(folder, store.items, store.lengths, errors, n_decoded, store.spans_s, store.sizes)


def prefix_of(target: DecodedFormat) -> str:
    """How the names of all stores of a format begin."""
    return hashlib.blake2b(f"{VERSION}|{target.stored_name}".encode(), digest_size=6).hexdigest()


def folder_of(stamps_N: np.ndarray, target: DecodedFormat, cache: Path) -> Path:
    """Where the store of items with these stamps is, or would be."""
    return cache / f"{prefix_of(target)}-{hashlib.blake2b(stamps_N.tobytes(), digest_size=10).hexdigest()}"


def has_store(blobs: Sequence[Blob | None], target: DecodedFormat, cache: Path) -> bool:
    """Whether these items were decoded before, all together."""
    return read_store(folder_of(stamps_of(blobs), target, cache), target) is not None


def tried_again(store: Store, blobs: Sequence[Blob | None], target: DecodedFormat, how: Decoding) -> tuple[Store, int]:
    """(the store, rows decoded) after another try of the items that may pass under the present limits."""
    rows = [row for row, failure in store.failures.items() if failure.may_pass(how.limits) and blobs[row] is not None]
    if not rows or not os.access(store.folder, os.W_OK):
        return store, 0
    failures = decode_rows(blobs, rows, target, store.folder, how.workers, how.progress, how.limits, how.say)
    with suppress(CannotWrite):  # then they are tried once more the next time
        write_failures(store.folder, {row: f for row, f in store.failures.items() if row not in rows} | failures)
    return read_store(store.folder, target) or store, len(rows)


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
    blobs: Sequence[Blob | None], stamps: np.ndarray, target: DecodedFormat, folder: Path, prefix: str, how: Decoding
) -> tuple[Store, int]:
    """(a new store at its place, how many items were decoded)."""
    cache = folder.parent
    with building_folder(cache) as building:
        arrays = make_arrays(building, len(blobs), target)
        missing, failures = copy_known_rows(arrays, stamps, cache, prefix, target, how.limits)
        missing = [i for i in missing if blobs[i] is not None]
        for array in arrays:
            array.flush()
        failures |= decode_rows(blobs, missing, target, building, how.workers, how.progress, how.limits, how.say)
        np.save(building / "stamps.npy", stamps.view(np.uint8).reshape(-1, 16), allow_pickle=False)
        write_failures(building, failures)
        return move_into_place(building, folder, target), len(missing)


def move_into_place(building: Path, folder: Path, target: DecodedFormat) -> Store:
    """Rename a finished store and open it; another run may have been quicker, then theirs is used."""
    for name in (LOCK, ".lock"):
        (building / name).unlink(missing_ok=True)
    theirs = read_store(folder, target)
    if theirs is not None:
        return theirs
    remove(folder)  # what lies there is damaged
    with suppress(OSError):
        building.rename(folder)
    store = read_store(folder, target)
    if store is None:
        raise OSError(f"the store {folder.name} cannot be read back")
    return store


def copy_known_rows(
    arrays: Sequence[np.ndarray],
    stamps: np.ndarray,
    cache: Path,
    prefix: str,
    target: DecodedFormat,
    limits: Limits,
) -> tuple[list[int], dict[int, Failure]]:
    """Copy the rows that older stores of the same format have: (rows still missing, row to known failures)."""
    older = sorted(cache.glob(f"{prefix}-*"))
    row_of = {stamp: i for i, stamp in enumerate(stamps.tolist())} if older else {}  # of equal stamps the last row
    is_missing = np.ones(len(stamps), bool)
    failures: dict[int, Failure] = {}
    for store in filter(None, (read_store(folder, target) for folder in older)):
        if target.has_seconds and store.spans_s is None:  # of an older version: a set with and without seconds helps nobody
            continue
        pairs: dict[int, int] = {}  # row here to row there
        for j, stamp in enumerate(store.stamps.tolist()):
            i = row_of.get(stamp)
            if i is not None and is_missing[i] and not (j in store.failures and store.failures[j].may_pass(limits)):
                pairs.setdefault(i, j)
        here, there = np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)
        is_missing[here] = False
        for target_array, known in zip(arrays, (store.items, store.lengths, store.sizes if target.has_sizes else store.spans_s)):
            if known is not None:
                copy_rows(known, there, target_array, here)
        failures |= {i: store.failures[j] for i, j in pairs.items() if j in store.failures}
    return np.flatnonzero(is_missing).tolist(), failures


def copy_rows(source: np.ndarray, there: np.ndarray, target: np.ndarray, here: np.ndarray) -> None:
    """target[here] = source[there], a few megabytes at a time."""
    step = max(1, COPY_BYTES // max(1, target[:1].nbytes))
    for start in range(0, len(here), step):
        target[here[start : start + step]] = source[there[start : start + step]]
