"""A store on disk: the decoded items of one set in one format. Imports no torch.

A folder with `items.npy` (N, *shape), `lengths.npy` (N,), of films and sounds `spans.npy` (N, 2), of whole frames `sizes.npy`
(N, 2), `stamps.npy` (a 16-byte digest an item), `bad.json` (row to the reason of its failure) and, where an item failed under
limits of time or memory, `retry.json` (row to these limits).
"""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selflabel.base.files import reserve, write_text
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.limits import Failure, Limits

DIGEST = np.dtype("V16")
BAD, RETRY = "bad.json", "retry.json"


@dataclass(frozen=True)
class Store:
    """A finished store.

    Args:
        folder: where it lies.
        items: (N, *shape), a read-only memory map.
        lengths: (N,) int32.
        stamps: (N,) 16-byte digests.
        failures: row to why it was not decoded.
        spans_s: (N, 2) float64 seconds of the file that an item shows before it repeats, NaN where that is not known; None for
            images, and where version 0.5.0 or an older one decoded the items.
        sizes: (N, 2) int32 width and height of the upright originals, where whole frames are kept; else None.
    """

    folder: Path
    items: np.ndarray
    lengths: np.ndarray
    stamps: np.ndarray
    failures: dict[int, Failure]
    spans_s: np.ndarray | None = None
    sizes: np.ndarray | None = None


def read_store(folder: Path, target: DecodedFormat) -> Store | None:
    """The store in a folder; None where there is none, or where it is damaged or of another shape."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode) or any(not stat.S_ISREG(f.lstat().st_mode) for f in folder.iterdir()):
            return None  # links may lead anywhere
        items = np.load(folder / "items.npy", mmap_mode="r", allow_pickle=False)
        lengths = np.load(folder / "lengths.npy", allow_pickle=False)
        stamps = np.load(folder / "stamps.npy", allow_pickle=False)
        failures = read_failures(folder)
        n = len(lengths)
        fits = items.shape == (n, *target.shape) and items.dtype == target.dtype and items.flags.c_contiguous
        if not fits or lengths.shape != (n,) or lengths.dtype != np.int32 or any(not 0 <= row < n for row in failures):
            return None
        if stamps.shape != (n, 16) or stamps.dtype != np.uint8 or lengths.min(initial=0) < 0:
            return None
        has_spans = target.has_seconds and (folder / "spans.npy").exists()
        spans = np.load(folder / "spans.npy", allow_pickle=False) if has_spans else None
        if spans is not None and (spans.shape != (n, 2) or spans.dtype != np.float64):
            return None
        sizes = np.load(folder / "sizes.npy", allow_pickle=False) if target.has_sizes else None
        if sizes is not None and (sizes.shape != (n, 2) or sizes.dtype != np.int32 or (sizes[lengths > 0] < 1).any()):
            return None
        return Store(folder, items, lengths, stamps.view(DIGEST).reshape(-1), failures, spans, sizes)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError):
        return None


def read_failures(folder: Path) -> dict[int, Failure]:
    reasons = json.loads((folder / BAD).read_text(encoding="utf-8"))
    limits = json.loads((folder / RETRY).read_text(encoding="utf-8")) if (folder / RETRY).exists() else {}
    return {
        int(row): Failure(str(reason), Limits(*map(float, limits[row][:2])) if row in limits else old_limits(reason))
        for row, reason in reasons.items()
    }


def old_limits(reason: str) -> Limits | None:
    """The limits of a failure that a version without `retry.json` wrote: what it killed or could not read is tried again."""
    return Limits(0, 0) if reason.startswith(("the decoder crashed", "cannot be read")) else None


def write_failures(folder: Path, failures: Mapping[int, Failure]) -> None:
    """Write `retry.json` where it is needed, and then `bad.json`."""
    limits = {row: [f.limits.seconds, f.limits.gb] for row, f in failures.items() if f.limits is not None}
    if limits or (folder / RETRY).exists():
        write_text(folder / RETRY, json.dumps(limits))
    write_text(folder / BAD, json.dumps({row: f.reason for row, f in failures.items()}))


def names_of_arrays(target: DecodedFormat) -> list[str]:
    """The arrays with a row for what decoding an item gives, in the order of `DecodedFormat.decode`."""
    return ["items", "lengths", *(["spans"] if target.has_seconds else ["sizes"] if target.has_sizes else [])]


def make_arrays(folder: Path, n: int, target: DecodedFormat) -> list[np.memmap]:
    """The arrays of `names_of_arrays` as memory maps, of zeros and of unknown seconds, with room on the disk for all of them.

    Raises:
        OSError: there is not enough room.
    """
    third = np.dtype(np.int32 if target.has_sizes else np.float64)
    kinds = [((n, *target.shape), target.dtype), ((n,), np.dtype(np.int32)), ((n, 2), third)]
    arrays = []
    for name, (shape, dtype) in zip(names_of_arrays(target), kinds):
        arrays.append(np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape))
        reserve(folder / f"{name}.npy")
    if target.has_seconds:
        arrays[2][:] = np.nan
    return arrays


def remove(folder: Path) -> None:
    """Delete what is at a store's place; of a link only the link."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)
