"""Atomic writes, and locks. A file is written under a temporary name beside its place and then renamed."""

import errno
import os
import re
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from platform import node
from typing import BinaryIO

from selflabel.base.errors import CannotWrite

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]

FULL = {errno.ENOSPC, errno.EFBIG, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else [])}  # the disk, a limit, a quota
# what libraries say without an error number; numpy: "9 requested and 0 written"
FULL_WORDS = ("No space left", "os error 28", "File too large", "quota exceeded", "requested and")
ZEROS = bytes(1 << 20)


# .labels.1f2e-4711-x8_k2a9b.parquet: the file, a digest of the machine, the process, random characters, the ending.
# Version 0.2.0 wrote neither machine nor process.
TEMPORARY = re.compile(
    r"\.(?P<stem>.+)\.(?:(?P<machine>[0-9a-f]{4})-(?P<process>\d+)-)?[a-z0-9_]{8}(?P<ending>\.\w+)?", re.DOTALL
)
OWN_ENDINGS = (".csv", ".json", ".jsonl", ".npy", ".parquet", ".png", ".safetensors", ".toml")
STEM = 40  # characters of a file's name in that of its temporary file, so that a long name stays within what a disk allows
STARTED = time.time()  # of this process, about
OTHER_MACHINE_S = 86_400.0  # a file of a process on another machine, which shares the disk, is in use for no longer


def open_regular(file: str | os.PathLike, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading: a named pipe would wait for ever, and a device never ends.

    Args:
        file: its name.
        follow: whether a link may lead to it.

    Raises:
        OSError: it is not there, is no regular file, or cannot be read.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(file, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{os.fspath(file)}: is no regular file")
    return os.fdopen(handle, "rb")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    Args:
        path: the file; its folder is made where it is not there.
        write: writes a temporary file whose path it is given. The suffix is that of `path`, because numpy and Pillow choose the
            format by it.

    Raises:
        CannotWrite: an OSError and a UserError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path.stem), suffix=path.suffix)
    except OSError as error:
        raise cannot_write(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as f:
            os.fsync(f.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except Exception as error:  # a library's own error may tell of the full disk
        if is_full(error):
            raise cannot_write(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_prefix(stem: str) -> str:
    """How the name of a temporary file or folder begins, so that `remove_leftovers` knows whose it is."""
    return f".{stem[:STEM]}.{machine()}-{os.getpid()}-"


@cache
def machine() -> str:
    """Four hexadecimal digits of this machine's name."""
    return f"{zlib.crc32(node().encode()) & 0xFFFF:04x}"


def remove_leftovers(folder: Path, stem: str | None = None, alone: bool = False) -> None:
    """Remove the temporary files and folders that a killed process left in a folder; those of living processes stay.

    Args:
        folder: need not be there, and need not be writable.
        stem: only those of this file; None is of every file.
        alone: no other process writes the folder's files, so those whose process is unknown are removed, too.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            with suppress(OSError):
                if is_leftover(entry, stem, alone):
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else Path(entry.path).unlink()


def is_leftover(entry: os.DirEntry, stem: str | None, alone: bool) -> bool:
    """Whether a folder's entry is a temporary file or folder of a process that has ended."""
    match = TEMPORARY.fullmatch(entry.name)
    if match is None or entry.is_symlink() or (stem is not None and match["stem"] != stem[:STEM]):
        return False
    if match["process"] is None:
        return alone and entry.is_file() and match["ending"] in OWN_ENDINGS
    if match["machine"] != machine():
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > OTHER_MACHINE_S
    if int(match["process"]) == os.getpid():  # numbers of processes come again, in a container soon
        return entry.stat(follow_symlinks=False).st_mtime < STARTED
    return not is_running(int(match["process"]))


def is_running(process: int) -> bool:
    """Whether there is a process of that number on this machine; True where that cannot be known."""
    if os.name != "posix":  # elsewhere signal 0 is not harmless
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's, or no number of a process
        return True
    return True


def is_full(error: Exception) -> bool:
    """Whether an exception says that a disk or a quota is full."""
    return getattr(error, "errno", None) in FULL or any(words in str(error) for words in FULL_WORDS)


def cannot_write(path: Path, error: Exception, remedy: str = "give another place with --out") -> CannotWrite:
    """The error that a file or folder cannot be written, in one sentence."""
    if is_full(error):
        return CannotWrite(f"{path}: cannot be written, because the disk is full; free some room, or {remedy}.")
    reason = getattr(error, "strerror", None) or str(error)
    return CannotWrite(f"{path}: cannot be written ({reason}); {remedy}.")


def reserve(file: Path) -> None:
    """Take room on the disk for all of a new file, so that writing into a memory map of it never ends the process (SIGBUS).

    Args:
        file: of its final size, and empty but for a header in its first 4096 bytes.

    Raises:
        OSError: there is not enough room.
    """
    with file.open("r+b") as out:
        size = os.fstat(out.fileno()).st_size
        try:
            os.posix_fallocate(out.fileno(), 0, size)
            return
        except AttributeError:  # macOS and Windows have no such call
            pass
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
        head = out.read(min(size, 4096))
        out.seek(0)
        out.write(head)
        for start in range(len(head), size, len(ZEROS)):
            out.write(ZEROS[: size - start])


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_atomically(path, lambda p: p.write_bytes(text.encode()))


def lock(handle: int, wait: bool) -> bool:
    """Lock an open file or folder for this process until it is closed; without effect where the file system has no locks.

    Args:
        handle: file descriptor.
        wait: wait for a process that holds the lock.

    Returns:
        Whether it is locked now.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is false.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder until the `with` or the process ends, in whatever way it ends.

    Args:
        folder: made where it is not there, and removed in the end where nothing was written into it.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the folder cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:  # there a folder cannot be opened either
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, wait=False)  # a process that is refused must not remove the other's folder
        try:
            yield
        finally:
            with suppress(OSError):
                folder.rmdir()
    finally:
        os.close(handle)
