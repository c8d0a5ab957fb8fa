"""Where selflabel keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """The cache's folder: SELFLABEL_CACHE, or selflabel/ in the user's cache folder."""
    named = os.environ.get("SELFLABEL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named) if named else Path(base) / "selflabel"
