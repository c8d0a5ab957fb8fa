"""A compressed tar is unpacked once, as a plain tar in the cache folder: its members could not be read in place otherwise.

The folder has a name as the stores of decoded items have, so that it is deleted as they are when the cache is full; what is
missing is unpacked again.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from selflabel.base.cache_folder import default_cache
from selflabel.base.files import open_regular

BLOCK = 1 << 22  # bytes unpacked at a time
LEFT_FREE = 1 << 28  # bytes that stay free on the disk
MAX_RATIO = 200  # of unpacked to packed bytes; more is taken for a bomb
SMALL = 1 << 28  # unpacked bytes that are never too many
STREAMS: dict[bytes, Callable[[Any], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
CUT = "cut"  # a file beside the tar whose archive ends too early


class TooLarge(OSError):
    """The archive unpacks to more than there is room for; the text says what to do."""


def unpacked_tar(file: str) -> Path:
    """The plain tar of a compressed one, unpacked where it is not in the cache yet.

    Raises:
        TooLarge: there is no room for it. OSError: it cannot be read, or the cache cannot be written.
    """
    status = os.stat(file)  # noqa: PTH116
    name = f"{os.path.realpath(file)}|{status.st_size}|{status.st_mtime_ns}"
    folder = default_cache() / f"{hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()}-unpacked"
    tar = folder / "members.tar"
    if tar.exists():
        with suppress(OSError):
            os.utime(folder)  # the least recently used folder is deleted first
        return tar
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
    try:
        unpack(file, building, status.st_size)
        with suppress(OSError):  # another process may have been quicker: then theirs is used
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return tar


def is_compressed(file: str | os.PathLike) -> bool:
    """Whether a file begins as one that is compressed; its name may say otherwise."""
    try:
        with open_regular(file) as f:
            return f.read(6).startswith(tuple(STREAMS))
    except OSError:
        return False


def is_cut(tar: Path) -> bool:
    """Whether the archive that was unpacked to this tar ends too early."""
    return (tar.parent / CUT).exists()


def unpack(file: str, folder: Path, size: int) -> None:
    """Unpack into a folder; size: of the compressed file in bytes."""
    total = 0
    with (folder / "members.tar").open("wb") as out:
        for block in blocks(file, folder):
            total += len(block)
            if total > max(SMALL, MAX_RATIO * size):
                raise TooLarge(f"{file}: unpacks to more than {MAX_RATIO} times its size; unpack it by hand if it is no mistake")
            if shutil.disk_usage(folder).free < LEFT_FREE + len(block):
                raise TooLarge(f"{file}: there is no room to unpack it in {folder.parent}; make room, or set SELFLABEL_CACHE")
            out.write(block)
    if not total:
        raise OSError(f"{file}: nothing in it can be unpacked")


def blocks(file: str, folder: Path) -> Iterator[bytes]:
    """The unpacked bytes, up to the first damage; a mark is left in the folder where there is one."""
    with open_regular(file) as packed:
        head = packed.read(6)
        packed.seek(0)
        open_stream = next((o for signature, o in STREAMS.items() if head.startswith(signature)), None)
        if open_stream is None:
            raise OSError(f"{file}: is not compressed by gzip, bzip2 or xz, whatever its name says")
        try:
            with open_stream(packed) as stream:
                while block := stream.read1(BLOCK):
                    yield block
        except (EOFError, zlib.error, lzma.LZMAError, OSError):
            (folder / CUT).touch()
