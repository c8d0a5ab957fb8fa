import resource
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from selflabel.base import memory
from selflabel.base.machine import free_memory, peak_memory
from selflabel.base.memory import UNKNOWN

CPU = torch.device("cpu")


def test_the_peak_is_in_bytes_on_every_system(monkeypatch):
    status = Path("/proc/self/status")
    if status.exists():
        resident = 1024 * int(status.read_text().split("VmRSS:")[1].split()[0])
        assert resident / 2 < peak_memory(CPU)["host"] < 1 << 40
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=7000))
    for system, peak in (("linux", 7000 * 1024), ("darwin", 7000)):
        monkeypatch.setattr(sys, "platform", system)
        assert peak_memory(CPU) == {"host": peak}


def test_free_memory_is_what_the_system_says_or_a_guess(monkeypatch, tmp_path):
    lines = tmp_path / "meminfo"
    lines.write_text("MemTotal: 9 kB\nMemAvailable:   1234 kB\n")
    monkeypatch.setattr(memory, "Path", lambda name: lines)
    assert free_memory(CPU) == 1234 * 1024
    lines.write_text("MemTotal: 9 kB\n")
    assert free_memory(CPU) == UNKNOWN
    lines.unlink()
    assert free_memory(CPU) == UNKNOWN
