"""Files written whole or not at all: everything goes to a temporary name beside its place and is renamed."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, then rename: a reader sees the old file or the new one, never half.

    The temporary name keeps the suffix, because numpy and Pillow read the format from it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as f:
            os.fsync(f.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole."""
    write_whole(path, lambda p: p.write_bytes(text.encode()))


def lock(handle: int, wait: bool) -> None:
    """Keep an open file or folder for this process until it is closed; nothing is kept where the file system knows no locks.

    Raises:
        BlockingIOError: another process has it, and `wait` is false.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder until the `with` or the process ends, however it ends. It is made where it is missing, and removed where
    nothing was written into it.

    Raises:
        BlockingIOError: another process holds it.
        OSError: it cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:  # there a folder cannot be opened either
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, wait=False)
        yield
    finally:
        os.close(handle)
        with suppress(OSError):
            folder.rmdir()
