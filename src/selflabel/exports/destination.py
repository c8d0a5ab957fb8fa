"""Where an export is written: nothing is overwritten unasked, and nothing is left of an export that fails."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.files import temporary_prefix
from selflabel.exports.registry import find_format
from selflabel.runs.run import Run

TEMPORARY = "export"  # what the name of a folder that is being written begins with
RECORD = "export.json"  # in every folder that an export wrote


def default_path(run: Run, to: str) -> Path:
    """The path beside the run where a format is written: runs/photos-sela-nn-coco/, runs/photos-sela-nn.csv.

    Raises:
        UserError: there is no such format.
    """
    folder, ending = run.folder.resolve(), find_format(to).ending
    return folder.with_name(f"{folder.name}{ending}" if ending else f"{folder.name}-{to}")


def check_destination(path: Path, ending: str, overwrite: bool) -> None:
    """Raise an error where something is at the path, unless an earlier export wrote it and it may be replaced.

    Args:
        path: absolute.
        ending: of a format that is a file; "" for one that is a folder.
        overwrite: whether an earlier export may be replaced.

    Raises:
        UserError: see above.
    """
    if ending:
        check_file(path, ending, overwrite)
    else:
        check_folder(path, overwrite)


def check_file(path: Path, ending: str, overwrite: bool) -> None:
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give a file with --out, such as {path / ('labels' + ending)}.")
    if os.path.lexists(path) and not overwrite:
        raise UserError(f"{path}: is there already; add --overwrite to replace it, or give another file with --out.")


def check_folder(path: Path, overwrite: bool) -> None:
    if os.path.lexists(path) and not path.is_dir():
        raise UserError(f"{path}: is a file; give a folder with --out.")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not (path / RECORD).exists():
        raise UserError(f"{path}: is a folder of other things; give an empty or new one with --out.")
    if not overwrite:
        raise UserError(f"{path}: holds an export; add --overwrite to replace it, or give another folder with --out.")


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Say in one sentence that a path cannot be looked at or written: the disk is full or read-only, a folder is not ours, ...

    Raises:
        UserError: see above.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise UserError(f"{path}: cannot be written ({reason}); make room, or give another place with --out.") from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that is renamed to it when the `with` ends; one that fails leaves nothing.

    Raises:
        UserError: it cannot be written.
    """
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=temporary_prefix(TEMPORARY)))
        try:
            yield folder
            folder.chmod(0o755)
            old = folder.with_name(f"{folder.name}.old")
            if path.exists():
                path.rename(old)
            folder.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
