"""Where selflabel keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from selflabel.base.errors import UserError


def default_cache() -> Path:
    """The cache's folder: SELFLABEL_CACHE, or selflabel/ in the user's cache folder.

    Raises:
        UserError: the user has no home folder.
    """
    named = os.environ.get("SELFLABEL_CACHE")
    if named:
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "selflabel"
    except RuntimeError as error:
        raise UserError("there is no home folder for the cache; name a folder with --cache or SELFLABEL_CACHE.") from error
