"""What the machine has to give."""

from __future__ import annotations

from pathlib import Path

import torch

UNKNOWN = 4 << 30  # bytes taken to be free where the system does not say


def peak_memory(device: torch.device) -> dict[str, int]:
    """The most bytes this process has held: of the host, and of a GPU where it uses one."""
    import resource
    import sys

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    on_device = {"device": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {}
    return {"host": held, **on_device}


def free_memory(device: torch.device) -> int:
    """Bytes free on the device, or on the host."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii")
        return int(lines.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return UNKNOWN
