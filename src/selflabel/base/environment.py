"""What libraries have to know of this machine before they are imported: folders that can be written, and cores. Imports none."""

from __future__ import annotations

import os
from pathlib import Path

from selflabel.base.container import allowed_cores, usable_cores

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")  # of torch, faiss and BLAS, and of numba


def adapt() -> None:
    """Set the variables that libraries read, where their defaults do not suit this machine and the user has not set them."""
    if usable_cores() < allowed_cores():  # a quota: libraries only see the affinity
        for name in THREADS:
            os.environ.setdefault(name, str(usable_cores()))
    package = Path(__file__).parents[1]
    if "NUMBA_CACHE_DIR" not in os.environ and not (can_write(package) or can_write(home("XDG_CACHE_HOME", ".cache"))):
        use_temporary_folder("NUMBA_CACHE_DIR")
    if "MPLCONFIGDIR" not in os.environ and not can_write(home("XDG_CONFIG_HOME", ".config")):
        use_temporary_folder("MPLCONFIGDIR")


def home(variable: str, name: str) -> Path | None:
    """The user's folder of a kind; None where the user has none."""
    try:
        return Path(os.environ.get(variable) or Path.home() / name)
    except RuntimeError:
        return None


def can_write(folder: Path | None) -> bool:
    """Whether a folder can be written, or made."""
    if folder is None:
        return False
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def use_temporary_folder(variable: str) -> None:
    """Name a folder in an environment variable that is deleted when this process ends."""
    import atexit
    import shutil
    import tempfile

    try:
        folder = tempfile.mkdtemp(prefix="selflabel-")
    except OSError:  # what needs the folder will say so
        return
    os.environ[variable] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
