"""Label unlabelled images, videos and sounds: self-labelling by balanced optimal transport.

The names below load on first use, so that importing selflabel costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from selflabel.base.environment import adapt

__version__ = "0.9.0"

_PUBLIC = {
    "Labelled": "selflabel.jobs.label",
    "Run": "selflabel.runs.run",
    "SelfLabeler": "selflabel.api",
    "UserError": "selflabel.base.errors",
    "label": "selflabel.jobs.label",
    "open_items": "selflabel.items",
}

__all__ = ["Labelled", "Run", "SelfLabeler", "UserError", "label", "open_items"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _MOVED:
        return sys.modules[f"selflabel.{name}"]
    raise AttributeError(f"module 'selflabel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Moved(ModuleType):
    """A module that had another name in version 0.1.0; it loads the present one on first use."""

    def __init__(self, old: str, new: str):
        super().__init__(f"selflabel.{old}", f"Moved to selflabel.{new}.")
        self._new = f"selflabel.{new}"
        self.__spec__ = ModuleSpec(self.__name__, None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self._new), name)


_MOVED = {
    "errors": "base.errors",
    "settings": "base.settings",
    "run": "runs.run",
    "labelling": "jobs.label",
    "predict": "jobs.predict",
    "scoring": "jobs.score",
    "compare": "jobs.compare",
}

adapt()
for _old, _new in _MOVED.items():
    sys.modules[f"selflabel.{_old}"] = _Moved(_old, _new)
