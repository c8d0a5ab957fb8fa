"""The cores and the memory that this process may use, by its affinity and by the limits of its container. Imports no torch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores that this process may use, 1 or more: by its affinity (`taskset`), the quota of a container, and the other ranks."""
    return max(1, min([allowed_cores(), *(math.ceil(quota) for quota in container_quotas())]) // ranks_here())


def ranks_here() -> int:
    """Ranks that share this machine, 1 where torchrun did not start this process."""
    said = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, int(said)) if said.isascii() and said.isdigit() else 1


def allowed_cores() -> int:
    """Cores that this process may run on, 1 or more."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # only Linux has it
        return os.cpu_count() or 1


def container_quotas() -> Iterator[float]:
    """Cores of time a second that each control group of this process allows, where one sets a limit."""
    for folder in group_folders("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError, IndexError):
            if (folder / "cpu.max").exists():  # version 2: "quota period", or "max period"
                quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()[:2]
            else:
                quota, period = (first_word(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            if quota != "max" and int(quota) > 0:
                yield int(quota) / int(period)


def container_free_memory() -> Iterator[int]:
    """Bytes that each control group of this process has left, where one sets a limit. What is only file cache counts as free."""
    for folder in group_folders("memory"):
        is_v2 = (folder / "memory.max").exists()
        names = ("memory.max", "memory.current") if is_v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        with suppress(OSError, ValueError, IndexError):
            limit, used = (int(first_word(folder / name)) for name in names)  # "max" is no number: no limit
            words = (folder / "memory.stat").read_text(encoding="ascii").split()
            cached = int(words[words.index("inactive_file" if is_v2 else "total_inactive_file") + 1])
            yield max(0, limit - max(0, used - cached))


def group_folders(controller: str) -> Iterator[Path]:
    """Folders of this process's control group and of those around it, of version 2 and of version 1."""
    with suppress(OSError, UnicodeDecodeError):
        for line in OWN_GROUPS.read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" and not controllers:
                yield from folders_up(CGROUPS, path)
            elif controller in controllers.split(","):
                yield from folders_up(CGROUPS / controllers, path)
                yield from folders_up(CGROUPS / controller, path) if controllers != controller else ()


def folders_up(root: Path, path: str) -> Iterator[Path]:
    """The folder of a group and those above it up to the root; in a container only the root may be visible."""
    folder = root / path.strip("/")
    if ".." in folder.parts:
        folder = root
    for place in (folder, *folder.parents):
        if place.is_dir():
            yield place
        if place == root:
            return


def first_word(file: Path) -> str:
    return file.read_text(encoding="ascii").split()[0]
