"""Parts of docstrings in the style of Google: what a function or a class says of itself."""

from __future__ import annotations

import inspect
import re
from typing import Any

SECTION = re.compile(r"^(Args|Attributes[^:\n]*|Returns|Yields|Raises|Example|Source):$")


def paragraphs(thing: Any) -> str:
    """The text of a docstring before its first section."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    end = next((i for i, line in enumerate(lines) if SECTION.match(line)), len(lines))
    return "\n".join(lines[:end]).strip()


def sections(thing: Any) -> dict[str, str]:
    """The sections of a docstring by their title, each without its indentation."""
    found: dict[str, list[str]] = {}
    title = None
    for line in (inspect.getdoc(thing) or "").splitlines():
        match = SECTION.match(line)
        title = match.group(1) if match else title
        if match:
            found[match.group(1)] = []
        elif title and (line.startswith(" ") or not line):
            found[title].append(line)
    return {name: inspect.cleandoc("\n" + "\n".join(lines)) for name, lines in found.items()}


def items(text: str) -> dict[str, str]:
    """The names of a section with their descriptions. Names with one description in common get it each.

    Example:
        >>> items("a, b: both\\n    of them.\\nc: another.")
        {'a': 'both of them.', 'b': 'both of them.', 'c': 'another.'}
    """
    joined = re.sub(r"\n +", " ", text)
    pairs = [line.partition(": ") for line in joined.splitlines() if line]
    return {name.strip(): description for names, _, description in pairs for name in names.split(",")}


def attributes(thing: Any) -> dict[str, str]:
    """Every attribute or argument that the docstring of a class describes."""
    described = {title: items(text) for title, text in sections(thing).items() if title.startswith(("Attributes", "Args"))}
    return {name: description for section in described.values() for name, description in section.items()}
