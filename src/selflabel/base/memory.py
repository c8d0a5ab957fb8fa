"""Free memory of the host, without importing torch."""

from __future__ import annotations

from pathlib import Path

from selflabel.base.container import container_free_memory

UNKNOWN = 4 << 30  # bytes assumed to be free where the system does not say


def free_host_memory() -> int:
    """Free bytes of the host, within the limits of a container."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii")
        free = int(lines.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        free = UNKNOWN
    return min([free, *container_free_memory()])
