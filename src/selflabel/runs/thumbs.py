"""The run's `thumbs/`: small pictures, made when they are first shown, in two files for any number of items.

`tiles.bin` holds the encoded pictures one after the other; `index.bin` holds each row's offset and length there, 16 bytes a row,
zeros where there is no picture yet. Pictures are only ever added, and their bytes before their index entry: a crash loses only
the picture that was being written, and two pages on one run at worst make a picture twice.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from selflabel.base.container import usable_cores
from selflabel.base.errors import UserError
from selflabel.base.files import reserve
from selflabel.runs.missing import Missing
from selflabel.runs.pictures import encode_thumbnail
from selflabel.runs.reading import file_in
from selflabel.runs.sources import Source

WORKERS = max(2, min(8, usable_cores()))
ENTRY = 16  # bytes of the index a row
MAX_PICTURE_BYTES = 1 << 20
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8")  # of PNG and JPEG


class ThumbnailFile:
    """The two files. In a folder that cannot be written nothing is kept, and `is_open` is false."""

    def __init__(self, folder: Path, rows: int):
        self.lock = threading.Lock()
        try:
            file_in(folder.parent, folder.name)  # raises for a link
            folder.mkdir(exist_ok=True)
            fits = has_index(folder, rows)
            self.tiles = open_in_place(folder / "tiles.bin", os.O_APPEND | (0 if fits else os.O_TRUNC))
            with os.fdopen(open_in_place(folder / "index.bin", 0), "r+b") as index:
                self.index = np.memmap(index, np.uint64, "r+" if fits else "w+", shape=(rows, 2))
            if not fits:
                reserve(folder / "index.bin")  # writing into a memory map on a full disk ends the process
            self.is_open = True
        except (OSError, UserError):
            self.is_open = False

    def get(self, row: int) -> bytes | None:
        """A row's picture; None where there is none yet."""
        if not self.is_open:
            return None
        offset, length = map(int, self.index[row])
        if not 0 < length <= MAX_PICTURE_BYTES or offset >= 1 << 62:
            return None
        data = os.pread(self.tiles, length, offset)
        return data if len(data) == length and data.startswith(PICTURE_STARTS) else None  # another's folder may hold anything

    def put(self, row: int, data: bytes) -> None:
        """Add a row's picture."""
        if not self.is_open:
            return
        try:
            with self.lock:
                if os.write(self.tiles, data) < len(data):
                    raise OSError("the disk is full")
                offset = os.lseek(self.tiles, 0, os.SEEK_CUR) - len(data)
                self.index[row] = offset, len(data)
        except OSError:  # a full disk: the page goes on without keeping pictures
            self.is_open = False


def open_in_place(file: Path, flags: int) -> int:
    """A file descriptor for reading and writing a regular file that is made where it is not there. A link is an OSError."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | flags, 0o644)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{file}: is no regular file")
    return handle


def has_index(folder: Path, rows: int) -> bool:
    """Whether the folder has an index of this many rows: one of another size is an older run's."""
    index = folder / "index.bin"
    return index.exists() and index.stat().st_size == ENTRY * rows


def thumbnail_reader(folder: Path, source: Source, rows: int) -> Callable[[int], bytes]:
    """A function that reads encoded pictures and writes nothing.

    Args:
        folder: the run's `thumbs/`, which need not be there.
        source: of the run.
        rows: items of the run.

    Returns:
        row -> its picture, the stored one or else a new one; it raises Missing.
    """
    stored = ThumbnailFile(folder, rows) if has_index(folder, rows) else None
    return lambda row: (stored.get(row) if stored else None) or encode_thumbnail(source, row)


class Thumbs:
    """Small pictures of a run's items, many at a time; new ones are stored.

    Args:
        folder: the run's `thumbs/`; made where it is not there.
        source: of the run.
        rows: items of the run.
    """

    def __init__(self, folder: Path, source: Source, rows: int):
        self.file, self.source = ThumbnailFile(folder, rows), source
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="thumbs")

    def one(self, row: int) -> bytes:
        """An encoded picture; empty where the item is missing."""
        data = self.file.get(row)
        if data is None:
            try:
                data = encode_thumbnail(self.source, row)
            except Missing:
                return b""
            self.file.put(row, data)
        return data

    def bundle(self, rows: Sequence[int]) -> tuple[bytes, bool]:
        """Many pictures in one piece.

        Returns:
            A length each (uint32, little-endian, 0 if missing) and then their bytes; whether all of them are there.
        """
        pictures = list(self.workers.map(self.one, rows))
        lengths = np.array([len(data) for data in pictures], "<u4")
        return lengths.tobytes() + b"".join(pictures), bool(lengths.all())
