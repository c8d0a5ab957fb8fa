import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.decode import processes
from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.image import Undecodable
from selflabel.decode.limits import Limits
from selflabel.decode.processes import run_tasks, without_main_script
from selflabel.decode.workers import decode_rows, inspect_blobs
from selflabel.items import Blob

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux holds a process to its memory")


class Numbers(DecodedFormat):
    """A format whose items are the numbers in their names; some of them fail, each in its own way."""

    def decode(self, blob):
        number = int(blob.file)
        if number in FAILURES:
            FAILURES[number]()
        return np.full(self.shape, number % 256, self.dtype), number


def hang():
    """Hang as if in C: no signal is heard."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL})
    while True:
        time.sleep(60)


def recurse():
    recurse()


def fail(error):
    raise error


def fail_for_want_of_memory():
    try:
        fail(MemoryError())
    except MemoryError as error:
        raise Undecodable("cannot be decoded (MemoryError: )") from error


FAILURES = {
    3: lambda: fail(ValueError("a line\nand another " + 500 * "x")),
    5: lambda: fail(FileNotFoundError(2, "No such file")),
    7: lambda: fail(Undecodable("unlucky")),
    9: recurse,
    11: lambda: os._exit(1),
    13: lambda: os.kill(os.getpid(), signal.SIGSEGV),
    15: fail_for_want_of_memory,
    17: lambda: fail(SystemExit(3)),
    19: hang,
    20: hang,
    21: lambda: np.ones(1 << 30, np.uint8).sum(),
}
REASONS = {
    3: "cannot be decoded (ValueError: a line and another x",
    5: "cannot be read (No such file)",
    7: "unlucky",
    9: "cannot be decoded (RecursionError",
    11: "the decoder crashed on it (exit code 1)",
    13: "the decoder crashed on it (SIGSEGV)",
    15: "needs more than 0.25 GB of memory (--set item_gb=0.5 allows more)",
    17: "cannot be decoded (SystemExit: 3)",
    19: "took more than 1 s (--set item_seconds=2 allows more)",
    20: "took more than 1 s",
    21: "needs more than 0.25 GB of memory",
}


def empty_store(folder, n):
    for name, shape in (("items", (n, 2)), ("lengths", (n,))):
        np.save(folder / f"{name}.npy", np.zeros(shape, np.int16 if name == "items" else np.int32))
    return folder


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_whatever_a_decoder_does_only_its_item_is_lost_and_listed(workers, tmp_path):
    n, calls, lines = 26, [], []
    blobs = [Blob(str(i)) for i in range(n)]
    progress, limits = lambda *done: calls.append(done), Limits(1, 0.25)
    folder = empty_store(tmp_path, n)
    failures = decode_rows(blobs, list(range(n)), Numbers("sound", (2,)), folder, workers, progress, limits, lines.append)
    assert {row: f.reason[: len(REASONS[row])] for row, f in failures.items()} == REASONS
    assert all(len(f.reason) <= 200 and "\n" not in f.reason for f in failures.values())
    good = [i for i in range(n) if i not in failures]
    lengths, items = np.load(tmp_path / "lengths.npy"), np.load(tmp_path / "items.npy")
    assert lengths[good].tolist() == good and (items[good, 1] == good).all() and (lengths[list(failures)] == 0).all()
    assert calls[-1] == (n, n) and sorted(calls) == calls
    assert len(lines) == 1 and lines[0].startswith("1 item took more than 1 s")


@needs_proc
@pytest.mark.slow
def test_only_failures_by_a_limit_are_tried_again_and_only_when_it_is_raised(tmp_path):
    n = 24
    files = [tmp_path / f"{i}" for i in range(n)]
    blobs = [Blob(str(file)) for file in files]
    for file in files:
        file.write_text("x")
    target, cache = Files("sound", (2,)), tmp_path / "cache"
    few = {7, 15, 20}
    rows = [blobs[i] for i in (1, 7, 15, 20)]
    first = decoded_items(rows, target, cache, limits=Limits(1, 0.25))
    assert len(first.errors) == len(few) and first.n_decoded == 4
    again = decoded_items(rows, target, cache, limits=Limits(1, 0.25))
    assert again.n_decoded == 0 and again.errors == first.errors
    longer = decoded_items(rows, target, cache, limits=Limits(2, 0.25))
    assert longer.n_decoded == 1 and "took more than 2 s" in longer.errors[3]
    larger = decoded_items(rows, target, cache, limits=Limits(1, 0.5))
    assert larger.n_decoded == 1 and "more than 0.5 GB" in larger.errors[2]
    other = decoded_items(rows[:3], target, cache, limits=Limits(1, 0.75))  # another set that takes its rows from the first
    assert other.n_decoded == 1 and "0.75 GB" in other.errors[2] and other.lengths.tolist() == [1, 0, 0]


class Files(Numbers):
    """Numbers whose files are there."""

    def decode(self, blob):
        return super().decode(Blob(Path(blob.file).name))


def test_only_the_rows_that_are_asked_for_are_decoded_and_progress_reaches_the_total(tmp_path):
    calls = []
    blobs = [None if i % 2 else Blob(str(100 + i)) for i in range(300)]
    rows = [i for i in range(20, 300) if blobs[i] is not None]
    empty_store(tmp_path, 300)
    assert not decode_rows(blobs, rows, Numbers("image", (2,)), tmp_path, 1, lambda *done: calls.append(done))
    assert calls[-1] == (140, 140)
    assert np.flatnonzero(np.load(tmp_path / "lengths.npy")).tolist() == rows


def halves(row, item):
    return item / 2 if item else None


def test_results_come_with_their_rows_and_the_workers_are_gone():
    assert run_tasks(halves, [[(4, 8), (5, 0)], [], [(9, 3)]], 2, Limits()) == {4: 4.0, 9: 1.5}
    assert not workers_of(os.getpid())


class DiesOnArrival:
    def __call__(self, row, item):
        raise AssertionError("never called")

    def __setstate__(self, state):
        os._exit(7)

    def __getstate__(self):
        return {"a": 1}


@pytest.mark.slow
def test_workers_that_cannot_even_start_end_the_run_with_one_sentence():
    with pytest.raises(UserError, match=r"decoding: its processes end as soon as they start \(exit code 7\)\."):
        run_tasks(DiesOnArrival(), [[(0, 1)]], 1, Limits())


def stop_at_half(done):
    if done:
        raise KeyboardInterrupt


@pytest.mark.slow
def test_what_progress_raises_ends_the_workers_at_once_also_one_that_hangs(tmp_path):
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(Decoding(), [[(0, "1"), (1, "19")], [(2, "19")]], 2, Limits(60), stop_at_half)
    assert time.monotonic() - started < 20 and not workers_of(os.getpid())


class Decoding:
    def __call__(self, row, name):
        Numbers("sound", (2,)).decode(Blob(name))


def workers_of(pid):
    """Processes that serve this one's decoding: the children of its fork server, or its own children that were spawned."""
    command = ["ps", "-e", "-ww", "-o", "pid=,ppid=,args="]  # in full width, wherever the columns end
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [(int(p), int(parent), words) for p, parent, words in (line.split(None, 2) for line in lines)]
    servers = {p for p, parent, words in rows if parent == pid and "forkserver" in words}
    return [p for p, parent, words in rows if parent in servers or (parent == pid and "spawn_main" in words)]


HANGS = """
from tests.decode.test_workers import Decoding, Limits, run_tasks
if __name__ == "__main__":
    run_tasks(Decoding(), [[(0, "1"), (1, "19")]], 1, Limits(600), lambda done: print(done, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are counted with ps")
def test_workers_end_with_a_parent_that_is_killed_even_where_they_hang():
    parent = subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True)
    while parent.stdout.readline().strip() != "1":  # at the item that hangs
        pass
    workers = workers_of(parent.pid)
    assert len(workers) == 1
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(Path(f"/proc/{p}").exists() for p in workers))


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def size_of(blob):
    if blob.file == "19":
        hang()
    if not blob.file.isdigit():
        raise ValueError(blob.file)
    return int(blob.file)


@pytest.mark.slow
def test_an_inspection_leaves_out_what_fails_or_hangs():
    blobs = [Blob("1"), None, Blob("x"), Blob("19"), Blob("4")]
    assert inspect_blobs(size_of, blobs, Limits(1)) == [1, 4]


@pytest.mark.slow
def test_an_inspection_ends_after_some_items_that_hang_and_says_so():
    lines = []
    blobs = [Blob("1"), *[Blob("19")] * 40]
    began = time.monotonic()
    assert inspect_blobs(size_of, blobs, Limits(1), say=lines.append) in ([1], [])
    assert time.monotonic() - began < 20 and len(lines) == 1 and "took more than 1 s" in lines[0]


def test_processes_are_spawned_where_there_is_no_server_to_fork_them(monkeypatch):
    def no_server(methods=processes.multiprocessing.get_all_start_methods()):
        return [m for m in methods if m != "forkserver"]

    monkeypatch.setattr(processes.multiprocessing, "get_all_start_methods", no_server)
    assert run_tasks(halves, [[(1, 2)]], 1, Limits()) == {1: 1.0}


def test_the_callers_script_is_hidden_only_while_processes_start():
    main = sys.modules["__main__"]
    before = (getattr(main, "__spec__", None), getattr(main, "__file__", None))
    with without_main_script():
        assert main.__spec__ is None and not hasattr(main, "__file__")
    assert (getattr(main, "__spec__", None), getattr(main, "__file__", None)) == before


@needs_proc
@pytest.mark.slow
def test_a_picture_that_needs_too_much_memory_is_skipped_and_the_others_are_decoded(tmp_path):
    Image.new("RGBA", (6000, 6000)).save(tmp_path / "a.png", compress_level=1)
    Image.new("RGB", (60, 60), "red").save(tmp_path / "b.png")
    blobs = [Blob(str(tmp_path / name)) for name in ("a.png", "b.png")]
    target, cache = DecodedFormat("image", (3, 8, 8)), tmp_path / "cache"
    little = decoded_items(blobs, target, cache, limits=Limits(60, 0.1))
    assert list(little.errors) == [0] and "item_gb=0.2" in little.errors[0] and little.lengths.tolist() == [0, 1]
    assert not decoded_items(blobs, target, cache).errors
