"""Where decoded items are kept, and how much room they have there. Imports no torch."""

from __future__ import annotations

import atexit
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from selflabel.base.cache_folder import default_cache
from selflabel.base.errors import CannotWrite, UserError
from selflabel.base.files import cannot_write, is_full, lock
from selflabel.items.remote import FOLDER as FETCHED

DEFAULT_CAP_GB = 50.0
SPARE_BYTES = 1 << 24  # of the disk that are left free
ABANDONED_S = 86_400  # a store without a lock that is unfinished after a day was left by a killed run
BUILDING, LOCK = ".building-", "lock"
REMEDY = "name a folder on another disk with --cache or SELFLABEL_CACHE"


# ------------------------------------------------------------------------------------------------------- which folder


def usable_cache(named: str | None, say: Callable[[str], None]) -> Path:
    """The cache's folder, made where it is not there.

    Args:
        named: by the user; None is the default one. Where that cannot be written, it is a temporary one of this process.
        say: called with a sentence where a temporary folder is used.

    Raises:
        UserError: the user named a folder that cannot be written.
    """
    chosen = named or os.environ.get("SELFLABEL_CACHE")
    if chosen:
        with cache_errors(Path(chosen)):
            Path(chosen).mkdir(parents=True, exist_ok=True)
        return Path(chosen)
    try:
        folder = default_cache()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} may not be written")
        return folder
    except (OSError, UserError) as error:
        temporary = temporary_folder()
        text = "decoded items are kept in a temporary folder until this process ends"
        say(f"the cache cannot be written ({error}): {text}; --cache or SELFLABEL_CACHE names a lasting one.")
        return temporary


def temporary_folder() -> Path:
    """A folder that is deleted when this process ends.

    Raises:
        UserError: there is no place for one.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="selflabel-"))
    except OSError as error:
        raise UserError(f"no folder for temporary files can be written ({error}); name one with TMPDIR.") from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def cache_errors(cache: Path, nbytes: int = 0) -> Iterator[None]:
    """Turn the errors of writing into the cache into one sentence.

    Args:
        cache: its folder.
        nbytes: that are about to be written.
    """
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        if not is_full(error):
            raise cannot_write(cache, error, "name another folder with --cache or SELFLABEL_CACHE") from error
        raise CannotWrite(full_sentence(cache, nbytes)) from error


def full_sentence(cache: Path, nbytes: int) -> str:
    need = f"decoded items need {readable(nbytes)}, {readable(free_bytes(cache))} are free"
    return f"{cache}: the disk is full ({need}); free some room, or {REMEDY}."


def readable(nbytes: float) -> str:
    """Bytes in words: 1.5 GB."""
    if not math.isfinite(nbytes):
        return "an unknown number of bytes"
    for unit in ("bytes", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} GB"


# ------------------------------------------------------------------------------------------------------ size and room


def stores(cache: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, folder) of every store, oldest first."""
    found = []
    for folder in cache.glob("[0-9a-f]*"):
        with suppress(OSError):  # another process deleted it just now
            if folder.is_dir() and not folder.is_symlink():
                found.append((folder.stat().st_mtime, sum(f.lstat().st_size for f in folder.iterdir()), folder))
    return sorted(found)


def make_room(cache: Path, nbytes: int, keep: Path | None = None) -> None:
    """Delete the least recently used stores until `nbytes` more fit under SELFLABEL_CACHE_GB (50 unless set) and on the disk.

    Args:
        cache: the folder of the stores.
        nbytes: that are about to be written.
        keep: a store that is in use.

    Raises:
        UserError: they do not fit on the disk, or SELFLABEL_CACHE_GB is no number.
    """
    remove_abandoned(cache)
    cap = cap_bytes()
    remaining = [entry for entry in stores(cache) if entry[2] != keep]
    size = sum(size for _, size, _ in remaining)
    while remaining and (size + nbytes > cap or nbytes + SPARE_BYTES > free_bytes(cache)):
        _, freed, folder = remaining.pop(0)
        shutil.rmtree(folder, ignore_errors=True)
        size -= freed
    if nbytes > free_bytes(cache):
        raise CannotWrite(full_sentence(cache, nbytes))


def cap_bytes() -> float:
    """The most bytes that the cache should take."""
    text = os.environ.get("SELFLABEL_CACHE_GB", "").strip() or str(DEFAULT_CAP_GB)
    try:
        cap = float(text)
    except ValueError:
        cap = math.nan
    if not cap >= 0:
        raise UserError(f"SELFLABEL_CACHE_GB={text}: must be a number of gigabytes, 0 or more.")
    return cap * 1e9


def free_bytes(folder: Path) -> float:
    """Bytes that can be written into a folder, as far as its disk says."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.inf


def clear(cache: Path) -> int:
    """Delete every store; returns the bytes freed."""
    everything = stores(cache)
    fetched = fetched_bytes(cache)
    for folder in [*(folder for _, _, folder in everything), *cache.glob(f"{BUILDING}*"), cache / FETCHED]:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(size for _, size, _ in everything) + fetched


def fetched_bytes(cache: Path) -> int:
    """Bytes of the files that were fetched from addresses."""
    return sum(file.lstat().st_size for file in (cache / FETCHED).rglob("*") if file.is_file())


# --------------------------------------------------------------------------------------------- stores that are being built


@contextmanager
def building_folder(cache: Path) -> Iterator[Path]:
    """A new folder in the cache, under a temporary name; deleted in the end where it was not renamed.

    This process locks the file `lock` in it, so that others can tell that it is still being filled.
    """
    folder = Path(tempfile.mkdtemp(dir=cache, prefix=BUILDING))
    handle = -1
    try:
        handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        if lock(handle, wait=False):
            (folder / ".lock").rename(folder / LOCK)  # locked before it has the name that others look for
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle >= 0:
            os.close(handle)


def remove_abandoned(cache: Path) -> None:
    """Delete unfinished stores whose process is gone."""
    for folder in cache.glob(f"{BUILDING}*"):
        with suppress(OSError):
            if is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def is_abandoned(folder: Path) -> bool:
    """Whether nobody holds the lock of an unfinished store, or, where it has none, whether it is a day old."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > ABANDONED_S
    try:
        return lock(handle, wait=False)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
