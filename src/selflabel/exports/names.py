"""Names of clusters as class names and as folder names: never empty, never two alike, never a way out of the folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

MAX_BYTES = 120  # so that a suffix still fits what file systems allow
UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(10))}  # no file's name on Windows
RESERVED = {"export.json", "left-out.csv", "labels.csv"}  # files of an export beside the classes' folders


def default_name(cluster: int) -> str:
    """The name of a cluster that nobody named."""
    return f"cluster-{cluster:03d}"


def unique_names(names: dict[int, str]) -> dict[int, str]:
    """Class names, all different.

    Args:
        names: cluster to its name, "" where it has none.

    Returns:
        Cluster to class name: its own, or its number; a name that an earlier cluster has is followed by the number.

    Example:
        >>> unique_names({0: "cat", 1: "", 2: "cat"})
        {0: 'cat', 1: 'cluster-001', 2: 'cat (2)'}
    """
    wanted = {c: name.strip() or default_name(c) for c, name in names.items()}
    return make_unique(wanted, str, lambda name, c, attempt: f"{name} ({c})" + "'" * attempt)


def safe_names(names: dict[int, str]) -> dict[int, str]:
    """Folder names, all different on any file system, whatever the classes are called.

    Args:
        names: cluster to class name.

    Example:
        >>> safe_names({0: "cats/dogs", 1: "..", 2: "Con", 3: "cats_dogs"})
        {0: 'cats_dogs', 1: 'cluster-001', 2: '_Con', 3: 'cats_dogs-3'}
    """
    wanted = {c: safe_name(name) or default_name(c) for c, name in names.items()}
    return make_unique(wanted, comparable, lambda name, c, attempt: f"{name}-{c}" + "_" * attempt, RESERVED)


def safe_name(name: str) -> str:
    """A name without what has a meaning for file systems or shells; "" where nothing is left."""
    clean = UNSAFE.sub("_", unicodedata.normalize("NFC", name))
    clean = truncate(clean.lstrip(" .-"), MAX_BYTES).rstrip(" .")
    return f"_{clean}" if clean.split(".")[0].strip().lower() in DEVICES else clean if clean.strip("_") else ""


def truncate(text: str, n_bytes: int) -> str:
    """At most so many bytes of UTF-8, never half a character."""
    return text.encode("utf-8", "ignore")[:n_bytes].decode("utf-8", "ignore")


def comparable(name: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def make_unique(
    wanted: dict[int, str],
    key: Callable[[str], str],
    alternative: Callable[[str, int, int], str],
    reserved: Iterable[str] = (),
) -> dict[int, str]:
    """The wanted names, where necessary replaced by alternatives; an earlier cluster has the first choice.

    Args:
        wanted: cluster to name.
        key: names with equal keys count as the same.
        alternative: (wanted name, cluster, attempt from 0) to another name.
        reserved: names that no cluster may have.
    """
    in_use, result = {key(name) for name in reserved}, {}
    for cluster, wanted_name in wanted.items():
        name, attempt = wanted_name, 0
        while key(name) in in_use:
            name, attempt = alternative(wanted_name, cluster, attempt), attempt + 1
        in_use.add(key(name))
        result[cluster] = name
    return result
