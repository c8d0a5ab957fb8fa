"""Folders that selflabel wrote: runs, exports and comparisons are no items of a folder that they lie in."""

from __future__ import annotations

import os
from collections.abc import Collection

from selflabel.base.files import open_regular

RUN_FILES = frozenset({"labels.csv", "labels.parquet", "skipped.csv"})  # beside run.toml, the last from the start of a run on
EXPORT_RECORD = "export.json"  # in every folder that an export wrote
HEAD = 16_384  # bytes of a record that are looked at
COMPARISON_RECORD = "comparison.json"


def own_folder(folder: str, folders: Collection[str], files: Collection[str]) -> str:
    """What of selflabel's a folder is: "run", "export", "comparison", or "" for another one.

    Args:
        folder: its path.
        folders, files: the names in it.
    """
    if "run.toml" in files and ("checkpoint" in folders or not RUN_FILES.isdisjoint(files)):
        return "run"
    if EXPORT_RECORD in files and names_selflabel(os.path.join(folder, EXPORT_RECORD)):  # noqa: PTH118
        return "export"
    return "comparison" if COMPARISON_RECORD in files and "comparison.png" in files else ""


def names_selflabel(file: str) -> bool:
    """Whether a record was written by selflabel: another program may use the name, too."""
    try:
        with open_regular(file) as f:
            return b'"selflabel"' in f.read(HEAD)
    except OSError:
        return False
