"""Write the generated parts of docs/settings.md and docs/api.md from the code's own types and docstrings.

python -m reproduce.reference_pages [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from reproduce.api_entries import ENTRIES, entry
from reproduce.settings_tables import encoder_table, method_tables, plan_table, settings_table, views_table

ROOT = Path(__file__).parents[1]
END = "<!-- end of generated part -->"

Part = Callable[[], str]

PAGES: dict[str, dict[str, Part]] = {
    "docs/settings.md": {
        "settings that change the result": lambda: settings_table("result"),
        "settings that change only speed or place": lambda: settings_table("speed"),
        "options of the methods": method_tables,
        "defaults of sela-nn": plan_table,
        "encoders": encoder_table,
        "views": views_table,
    },
    "docs/api.md": {name: lambda name=name: entry(name) for name in ENTRIES},  # type: ignore[misc]
}


def start(name: str) -> str:
    """The mark before a generated part."""
    return f"<!-- generated: {name} -->"


def with_parts(text: str, parts: dict[str, Part]) -> str:
    """The text with every part between its marks.

    Raises:
        ValueError: a part has no mark in the text, or a mark no part.

    Example:
        >>> with_parts(f"a {start('b')} old {END} c", {"b": lambda: "new"}) == f"a {start('b')}\\nnew\\n{END} c"
        True
    """
    marked = re.findall(r"<!-- generated: (.*?) -->", text)
    if sorted(marked) != sorted(parts):
        raise ValueError(f"marks and generated parts differ: {sorted(set(marked) ^ set(parts))}")
    for name, part in parts.items():
        before, rest = text.split(start(name))
        text = f"{before}{start(name)}\n{part()}\n{END}{rest.split(END, 1)[1]}"
    return text


def main() -> None:
    for name, parts in PAGES.items():
        text = (ROOT / name).read_text()
        result = with_parts(text, parts)
        if "--check" not in sys.argv:
            (ROOT / name).write_text(result)
        elif result != text:
            raise SystemExit(f"{name}: is not what the code says; run python -m reproduce.reference_pages")


if __name__ == "__main__":
    main()
