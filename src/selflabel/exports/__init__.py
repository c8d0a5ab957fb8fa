"""TAKE THE LABELS AWAY: one small file a format. `registry.EXPORTS` is the only list of them.

Some names load on first use, so that the command line can list the formats without waiting for what they need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from selflabel.exports.registry import EXPORTS, Format, format_names

if TYPE_CHECKING:
    from selflabel.exports.destination import default_path
    from selflabel.exports.fitting import fitting_formats, kind_of_items
    from selflabel.exports.run_export import ExportResult, export

_MODULES = {
    "ExportResult": "run_export",
    "default_path": "destination",
    "export": "run_export",
    "fitting_formats": "fitting",
    "kind_of_items": "fitting",
}

__all__ = [
    "EXPORTS",
    "ExportResult",
    "Format",
    "default_path",
    "export",
    "fitting_formats",
    "format_names",
    "kind_of_items",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
