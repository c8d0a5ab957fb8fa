"""JSON lists and objects written entry by entry, so that a million of them are never in memory at once."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO


def write_list(out: TextIO, entries: Iterable[Any]) -> None:
    """Write a JSON list, one entry a line.

    Args:
        out: an open text file.
        entries: whatever JSON takes.
    """
    out.write("[")
    for i, entry in enumerate(entries):
        out.write((",\n" if i else "\n") + json.dumps(entry, ensure_ascii=False))
    out.write("\n]")


def write_object(out: TextIO, entries: Iterable[tuple[str, Any]]) -> None:
    """Write a JSON object, one entry a line.

    Args:
        out: an open text file.
        entries: keys, all different, and values.
    """
    out.write("{")
    for i, (key, value) in enumerate(entries):
        out.write((",\n" if i else "\n") + f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}")
    out.write("\n}")
