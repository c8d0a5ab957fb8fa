"""Memory of this machine: what is free, and the most that this process has used."""

from __future__ import annotations

import torch

from selflabel.base.memory import free_host_memory


def peak_memory(device: torch.device) -> dict[str, int]:
    """Peak memory of this process in bytes.

    Args:
        device: that the process computes on.

    Returns:
        "host", and "device" for a GPU.
    """
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    on_device = {"device": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {}
    return {"host": host, **on_device}


def free_memory(device: torch.device) -> int:
    """Free bytes of the GPU, or of the host for any other device, within the limit of a container."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_host_memory()
