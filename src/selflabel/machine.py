"""What the machine has to give."""

from __future__ import annotations

from pathlib import Path

import torch

UNKNOWN = 4 << 30  # bytes taken to be free where the system does not say


def free_memory(device: torch.device) -> int:
    """Bytes free on the device, or on the host."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii")
        return int(lines.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        return UNKNOWN
