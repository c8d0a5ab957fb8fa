"""Unlabelled images in, labels out.

The names below load on first use, so that importing selflabel costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Run": "selflabel.runs.run",
    "SelfLabeler": "selflabel.api",
    "UserError": "selflabel.base.errors",
    "label": "selflabel.jobs.label",
    "open_items": "selflabel.items",
}

__all__ = ["Run", "SelfLabeler", "UserError", "label", "open_items"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'selflabel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
