"""Names of clusters as class names and as folder names: never empty, never two alike, never a way out of the folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 120  # bytes, so that a suffix still fits what file systems allow
UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(10))}  # no file's name on Windows
OURS = {"export.json", "left-out.csv", "labels.csv"}  # what an export puts beside the classes' folders


def unnamed(cluster: int) -> str:
    """What a cluster without a name is called."""
    return f"cluster-{cluster:03d}"


def unique_names(names: dict[int, str]) -> dict[int, str]:
    """A class name a cluster: its own, or its number; one that is taken is followed by the number.

    Example:
        >>> unique_names({0: "cat", 1: "", 2: "cat"})
        {0: 'cat', 1: 'cluster-001', 2: 'cat (2)'}
    """
    wanted = {c: name.strip() or unnamed(c) for c, name in names.items()}
    return apart(wanted, str, lambda name, c, turn: f"{name} ({c})" + "'" * turn)


def safe_names(names: dict[int, str]) -> dict[int, str]:
    """A folder name a cluster, on any file system, whatever its class is called.

    Example:
        >>> safe_names({0: "cats/dogs", 1: "..", 2: "Con", 3: "cats_dogs"})
        {0: 'cats_dogs', 1: 'cluster-001', 2: '_Con', 3: 'cats_dogs-3'}
    """
    wanted = {c: safe(name) or unnamed(c) for c, name in names.items()}
    return apart(wanted, folded, lambda name, c, turn: f"{name}-{c}" + "_" * turn, OURS)


def safe(name: str) -> str:
    """A name without what file systems or shells take for something else; "" where nothing is left."""
    clean = UNSAFE.sub("_", unicodedata.normalize("NFC", name))
    clean = cut(clean.lstrip(" .-"), LONGEST).rstrip(" .")
    return f"_{clean}" if clean.split(".")[0].strip().lower() in DEVICES else clean if clean.strip("_") else ""


def cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, never half a sign."""
    return text.encode("utf-8", "ignore")[:most].decode("utf-8", "ignore")


def folded(name: str) -> str:
    """Alike for names that some file system cannot tell apart."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def apart(wanted: dict[int, str], key, other, taken: Iterable[str] = ()) -> dict[int, str]:
    """The names, those that are taken replaced by others; first come, first served."""
    seen, found = {key(name) for name in taken}, {}
    for cluster, name in wanted.items():
        turn, now = 0, name
        while key(now) in seen:
            now, turn = other(name, cluster, turn), turn + 1
        seen.add(key(now))
        found[cluster] = now
    return found
