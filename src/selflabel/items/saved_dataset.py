"""Folders that `datasets.Dataset.save_to_disk` and `DatasetDict.save_to_disk` of Hugging Face wrote.

state.json names the .arrow files of a Dataset, in order; others beside them are caches of `datasets`. dataset_dict.json names the
folders of a DatasetDict. What they name must lie in the folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular
from selflabel.base.text import shortened
from selflabel.items.manifest import unusable_name

STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
MAX_STATE = 1 << 24  # bytes of a state.json


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` wrote a folder."""
    return is_one_dataset(folder) or (folder / SPLITS).is_file()


def is_one_dataset(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` wrote a folder."""
    return (folder / STATE).is_file() and (folder / INFO).is_file()


def dataset_files(folder: Path) -> list[str]:
    """The .arrow files of a saved Dataset, or of all splits of a saved DatasetDict, in order, below the folder.

    Raises:
        UserError: a file is damaged or lacking, or the folder names what lies elsewhere.
    """
    if is_one_dataset(folder):
        return files_of_state(folder)
    splits = [plain_name(folder / SPLITS, name) for name in entries(folder / SPLITS, "splits")]
    lacking = next((split for split in splits if not is_one_dataset(folder / split)), None)
    if lacking is not None:
        raise UserError(f"{folder}: lacks {lacking}, which its {SPLITS} names; copy the whole folder again.")
    return [f"{split}/{name}" for split in splits for name in files_of_state(folder / split)]


def files_of_state(folder: Path) -> list[str]:
    """The .arrow files that the state.json of a saved Dataset names."""
    file = folder / STATE
    if entries(file, "_indices_data_files", needed=False):
        raise UserError(f"{folder}: holds a selection of rows, as old versions of datasets wrote it; load it and save it again.")
    named = entries(file, "_data_files")
    names = [plain_name(file, entry.get("filename") if isinstance(entry, dict) else None) for entry in named]
    lacking = next((name for name in names if not (folder / name).is_file()), None)
    if lacking is not None:
        raise UserError(f"{folder}: lacks {lacking}, which its {STATE} names; copy the whole folder again.")
    return names


def entries(file: Path, key: str, needed: bool = True) -> list[Any]:
    """A list in a .json file. needed: whether one that is lacking or empty is an error."""
    try:
        with open_regular(file) as f:
            values = json.loads(f.read(MAX_STATE)).get(key)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise unlike(file) from error
    if needed and not (isinstance(values, list) and values):
        raise unlike(file)
    return values if isinstance(values, list) else []


def plain_name(file: Path, name: Any) -> str:
    """A name that leads nowhere else, as `file` has it. Raises UserError for others."""
    if not isinstance(name, str) or unusable_name(name) or name in (".", "..") or "/" in name or "\\" in name:
        raise UserError(f"{file}: names {shortened(str(name), 80)!r}, which is no file of its folder; save the dataset again.")
    return name


def unlike(file: Path) -> UserError:
    """The error of a file that is not as `datasets` writes it."""
    return UserError(f"{file}: is not as datasets.save_to_disk writes it; copy the whole folder again.")
