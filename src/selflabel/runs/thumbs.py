"""The run's `thumbs/`: small pictures made when they are first looked at, in two files however many there are.

`tiles.bin` holds encoded pictures one after the other; `index.bin` holds each row's place and length there, 16 bytes a row,
noughts where there is none yet. Pictures are only ever added, the bytes before the place: a crash loses nothing but itself,
and two pages on one run at worst make a picture twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from selflabel.runs.pictures import tile
from selflabel.runs.sources import Missing, Source

WORKERS = max(2, min(8, os.cpu_count() or 2))


class Pack:
    """The two files: `get` and `put` a row's picture. A folder that cannot be written keeps nothing and says so by `kept`."""

    def __init__(self, folder: Path, rows: int):
        self.lock = threading.Lock()
        try:
            folder.mkdir(exist_ok=True)
            index = folder / "index.bin"
            whole = index.exists() and index.stat().st_size == 16 * rows
            self.tiles = os.open(folder / "tiles.bin", os.O_RDWR | os.O_CREAT | os.O_APPEND | (0 if whole else os.O_TRUNC), 0o644)
            self.index = np.memmap(index, np.uint64, "r+" if whole else "w+", shape=(rows, 2))
            self.kept = True
        except OSError:
            self.kept = False

    def get(self, row: int) -> bytes | None:
        if not self.kept:
            return None
        at, length = map(int, self.index[row])
        return os.pread(self.tiles, length, at) if length else None

    def put(self, row: int, data: bytes) -> None:
        if not self.kept:
            return
        try:
            with self.lock:
                os.write(self.tiles, data)
                at = os.lseek(self.tiles, 0, os.SEEK_CUR) - len(data)
                self.index[row] = at, len(data)
        except OSError:  # a full disk: the page goes on without keeping
            self.kept = False


def reader(folder: Path, source: Source, rows: int) -> Callable[[int], bytes]:
    """row -> its picture, encoded: the one that is kept, or a new one that is not. It raises Missing, and writes nothing."""
    index = folder / "index.bin"
    whole = index.exists() and index.stat().st_size == 16 * rows
    pack = Pack(folder, rows) if whole else None
    return lambda row: (pack.get(row) if pack else None) or tile(source, row)


class Thumbs:
    """Small pictures of a run's items, many at a time."""

    def __init__(self, folder: Path, source: Source, rows: int):
        self.pack, self.source = Pack(folder, rows), source
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="thumbs")

    def one(self, row: int) -> bytes:
        """An encoded picture; empty where the item is missing."""
        found = self.pack.get(row)
        if found is None:
            try:
                found = tile(self.source, row)
            except Missing:
                return b""
            self.pack.put(row, found)
        return found

    def bundle(self, rows: Sequence[int]) -> tuple[bytes, bool]:
        """Pictures in one piece: a length each (uint32, little-endian, 0 if missing), then their bytes; whether all are there."""
        found = list(self.workers.map(self.one, rows))
        lengths = np.array([len(data) for data in found], "<u4")
        return lengths.tobytes() + b"".join(found), bool(lengths.all())
