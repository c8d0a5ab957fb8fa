"""A decoding run that is stopped from outside ends at once, and leaves nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.decode.test_workers import wait_until, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="signals and processes of Linux")]


@pytest.fixture(scope="module")
def many_pictures(tmp_path_factory):
    """Pictures that take most of a minute together."""
    folder = tmp_path_factory.mktemp("many")
    Image.new("RGB", (900, 900), "red").save(folder / "0.png", compress_level=1)
    for i in range(1, 10_000):
        os.link(folder / "0.png", folder / f"{i}.png")
    return folder


def start(source, place):
    """`label`, and its workers once they decode."""
    words = ["label", str(source), "-k", "2", "--method", "kmeans", "--out", str(place / "run"), "--cache", str(place / "cache")]
    process = subprocess.Popen(
        [sys.executable, "-m", "selflabel.cli", *words, "--set", "px=16"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: list((place / "cache").glob(".building-*")) and workers_of(process.pid), seconds=120)
    return process, workers_of(process.pid)


def is_gone(pid):
    """Whether a process has ended; its parent may not have noticed yet."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("number", "to_all"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)],
    ids=["kill", "group", "ctrl-c"],
)
def test_a_signal_ends_decoding_at_once_and_leaves_nothing(number, to_all, many_pictures, tmp_path):
    process, workers = start(many_pictures, tmp_path)
    began = time.monotonic()
    if to_all:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 15
    assert process.returncode == 130 and "Traceback" not in errors and errors.splitlines()[-1].startswith("selflabel: stopped")
    assert not list((tmp_path / "cache").iterdir()) and not (tmp_path / "run").exists()
    wait_until(lambda: all(is_gone(p) for p in workers))


def test_what_a_killed_run_left_is_removed_by_the_next_one(many_pictures, tmp_path):
    process, workers = start(many_pictures, tmp_path)
    process.kill()
    process.communicate()
    wait_until(lambda: all(is_gone(p) for p in workers))
    left = list((tmp_path / "cache").glob(".building-*"))
    assert len(left) == 1
    process, _ = start(many_pictures, tmp_path)
    wait_until(lambda: not left[0].exists())
    process.terminate()
    process.communicate(timeout=60)
    assert not list((tmp_path / "cache").iterdir())
