import os
import subprocess
import sys

import pytest

from selflabel.base import container
from selflabel.base.container import container_free_memory, usable_cores


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups as the system shows them: write(folder of the group, file, text), and the lines of /proc/self/cgroup."""
    own = tmp_path / "cgroup"
    monkeypatch.setattr(container, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(container, "OWN_GROUPS", own)
    monkeypatch.setattr(container, "allowed_cores", lambda: 8)
    own.write_text("")

    def write(name, text):
        file = tmp_path / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return own, write


def test_a_quota_of_version_2_counts_at_every_level_and_is_rounded_up(groups):
    own, write = groups
    own.write_text("0::/pods/mine\n")
    write("pods/mine/cpu.max", "max 100000\n")
    assert usable_cores() == 8
    write("pods/cpu.max", "250000 100000\n")
    assert usable_cores() == 3
    write("pods/mine/cpu.max", "50000 100000\n")
    assert usable_cores() == 1


def test_a_quota_of_version_1_counts_also_where_only_the_root_is_visible(groups):
    own, write = groups
    own.write_text("4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n")
    write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write("cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert usable_cores() == 8
    write("cpu,cpuacct/cpu.cfs_quota_us", "200000\n")
    assert usable_cores() == 2
    write("cpu,cpuacct/cpu.cfs_quota_us", "rubbish\n")
    assert usable_cores() == 8


def test_the_memory_of_a_container_is_its_limit_without_what_is_used_and_no_cache(groups):
    own, write = groups
    assert list(container_free_memory()) == []
    own.write_text("0::/mine\n")
    write("mine/memory.max", "max\n")
    write("memory.max", "1000\n")
    write("memory.current", "700\n")
    write("memory.stat", "anon 300\ninactive_file 100\n")
    assert list(container_free_memory()) == [400]
    own.write_text("4:memory:/old\n")
    write("memory/old/memory.limit_in_bytes", "1000\n")
    write("memory/old/memory.usage_in_bytes", "1700\n")
    write("memory/old/memory.stat", "cache 5\ntotal_inactive_file 600\n")
    assert list(container_free_memory()) == [0]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_cores_follow_the_affinity_of_the_process():
    code = [
        "import os",
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "from selflabel.base.container import usable_cores",
        "print(usable_cores())",
    ]
    words = [sys.executable, "-c", "\n".join(code)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "1\n"
