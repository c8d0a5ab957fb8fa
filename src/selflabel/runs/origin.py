"""Whether this user made a run on this machine, or named its source: only then the run may read files outside its own folder.

A run folder can come from anyone, and it says itself which files are its items. So `label` signs what the run may read with a
key that only this user has (HMAC-SHA256; the key lies in the user's configuration folder), in origin.json in the run folder.
For a run without a valid signature the user is asked once; what is named with --source is then signed likewise.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from selflabel.base.errors import UserError
from selflabel.base.files import open_regular, write_text
from selflabel.runs.reading import damaged, file_in, read_bounded, read_object

NAME, RECORD = "origin.json", "sources.parquet"
KEY_BYTES = 32
MAX_RECORD_BYTES = 1 << 30  # a million items take 5 MB; a stranger's sparse file would be read for hours
PURPOSE = b"selflabel origin 1\n"  # of what is signed, so that a signature made for anything else does not fit


@dataclass(frozen=True)
class Origin:
    """What a run may read.

    Attributes:
        places: the source, absolute; more than one where several files were named.
        is_recorded: whether the run's sources.parquet says where each item is; otherwise items are looked up by their names.
    """

    places: tuple[str, ...]
    is_recorded: bool


def config_folder() -> Path:
    """The user's configuration folder: SELFLABEL_CONFIG, or selflabel/ where the system keeps such things."""
    named = os.environ.get("SELFLABEL_CONFIG")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME")
    return Path(base) / "selflabel" if base else Path.home() / ".config" / "selflabel"


def read_key() -> bytes | None:
    """The user's key; None where there is none yet."""
    with suppress(OSError, UserError, RuntimeError):  # RuntimeError: there is no home folder
        key = read_bounded(config_folder() / "key")
        return key if len(key) == KEY_BYTES else None
    return None


def make_key() -> bytes | None:
    """The user's key, made where there is none; None where it cannot be kept."""
    with suppress(OSError, RuntimeError):
        folder = config_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / "key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # another process may be quicker
        with os.fdopen(handle, "wb") as f:
            f.write(secrets.token_bytes(KEY_BYTES))
    return read_key()


def sign(folder: Path, origin: Origin) -> bool:
    """Write origin.json: this user lets the run read that source.

    Returns:
        False where the key or the file cannot be kept.
    """
    key = read_key() or make_key()
    if key is None:
        return False
    values = {"places": origin.places, "recorded": origin.is_recorded, "signature": signature(folder, origin, key)}
    try:
        write_text(folder / NAME, json.dumps(values, indent=1) + "\n")
    except OSError:
        return False
    return True


def read_origin(folder: Path) -> Origin | None:
    """What the run may read by its valid signature; None without one."""
    key = read_key()
    if key is None or not (folder / NAME).exists():
        return None
    try:
        values = read_object(file_in(folder, NAME))
        origin = Origin(tuple(map(str, values.get("places", []))), values.get("recorded") is True)
        is_valid = hmac.compare_digest(signature(folder, origin, key), str(values.get("signature", "")))
    except (UserError, OSError, TypeError):
        return None
    return origin if is_valid else None


def signature(folder: Path, origin: Origin, key: bytes) -> str:
    """The HMAC of what a run may read, with the digest of its record where that counts."""
    record = file_digest(file_in(folder, RECORD)) if origin.is_recorded else ""
    text = json.dumps([origin.places, origin.is_recorded, record])
    return hmac.new(key, PURPOSE + text.encode(), hashlib.sha256).hexdigest()


def file_digest(file: Path) -> str:
    """The SHA-256 of a regular file. Raises OSError, and UserError where it is larger than any record is."""
    digest = hashlib.sha256()
    with open_regular(file, follow=False) as f:
        if f.seek(0, 2) > MAX_RECORD_BYTES:
            raise damaged(file, f"has more than {MAX_RECORD_BYTES:,} bytes")
        f.seek(0)
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
