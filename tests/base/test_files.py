import errno
import os
import subprocess
import sys

import pytest

from selflabel.base import files
from selflabel.base.errors import CannotWrite, UserError
from selflabel.base.files import lock, locked_folder, remove_leftovers, reserve, write_atomically, write_text


def test_a_file_is_written_whole_with_its_suffix_and_readable_by_all(tmp_path):
    suffixes = []
    write_atomically(tmp_path / "new" / "a.npy", lambda p: suffixes.append(p.suffix) or p.write_bytes(b"x"))
    assert (tmp_path / "new" / "a.npy").read_bytes() == b"x" and suffixes == [".npy"]
    assert (tmp_path / "new" / "a.npy").stat().st_mode & 0o777 == 0o644
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "old")

    def half(path):
        path.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.txt", half)
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EFBIG, "File too large"),
        OSError("4096 requested and 0 written"),  # numpy
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
    ],
    ids=["disk", "limit", "numpy", "safetensors"],
)
def test_a_full_disk_is_one_sentence_whichever_library_writes(error, tmp_path):
    def full(path):
        raise error

    with pytest.raises(
        CannotWrite, match=r"a\.npy: cannot be written, because the disk is full; free some room, or .*--out\."
    ) as raised:
        write_atomically(tmp_path / "a.npy", full)
    assert isinstance(raised.value, UserError) and isinstance(raised.value, OSError)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        CannotWrite, match=r"file/a\.txt: cannot be written \((Not a directory|File exists)\); give another place"
    ):
        write_text(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize("call", ["there", "missing", "unsupported"])
def test_room_is_taken_for_all_of_a_new_file_also_where_the_system_cannot_reserve_it(call, tmp_path, monkeypatch):
    def unsupported(*given):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if call == "missing":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    elif call == "unsupported":
        monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    file = tmp_path / "a"
    with file.open("wb") as out:
        out.write(b"header")
        out.truncate(3_000_001)
    assert file.stat().st_blocks * 512 < 1_000_000
    reserve(file)
    assert file.stat().st_blocks * 512 >= 3_000_000 and file.stat().st_size == 3_000_001
    assert file.read_bytes() == b"header" + bytes(3_000_001 - 6)


@pytest.mark.skipif(files.fcntl is None, reason="the system has no locks")
def test_a_locked_folder_is_refused_to_others_until_its_process_ends(tmp_path):
    folder = tmp_path / "run"
    code = [
        "from pathlib import Path",
        "from selflabel.base.files import locked_folder",
        f"with locked_folder(Path({str(folder)!r})):",
    ]
    command = [sys.executable, "-c", "\n".join([*code, "    pass"])]
    with locked_folder(folder):
        done = subprocess.run(command, capture_output=True, text=True)
        assert "BlockingIOError" in done.stderr and folder.is_dir()
        (folder / "a.txt").touch()
    assert subprocess.run(command).returncode == 0 and folder.is_dir()


def test_a_locked_folder_into_which_nothing_was_written_goes_again(tmp_path):
    with locked_folder(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(files.fcntl is None, reason="the system has no locks")
def test_a_lock_blocks_a_second_handle_and_does_nothing_without_support(tmp_path, monkeypatch):
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    try:
        lock(first, wait=True)
        with pytest.raises(BlockingIOError):
            lock(second, wait=False)

        def unsupported(*given):
            raise OSError("no locks")

        monkeypatch.setattr(files.fcntl, "flock", unsupported)
        lock(second, wait=False)
        monkeypatch.setattr(files, "fcntl", None)
        lock(second, wait=False)
        with locked_folder(tmp_path / "other"):
            assert (tmp_path / "other").is_dir()
    finally:
        os.close(first)
        os.close(second)


KILLED = """
import os, sys
from pathlib import Path
from selflabel.base.files import write_atomically

def write(path):
    path.write_text("half")
    print(path.name, flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
    sys.stdin.read()

write_atomically(Path(sys.argv[1]) / "labels.parquet", write)
"""


def writer(folder, how):
    """A process that writes labels.parquet, and the name of its temporary file."""
    command = [sys.executable, "-c", KILLED, str(folder), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    killed, left = writer(tmp_path, "killed")
    killed.wait()
    living, written = writer(tmp_path, "living")
    assert (tmp_path / left).exists() and (tmp_path / written).exists()
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [written]
    living.communicate("")
    assert [p.name for p in tmp_path.iterdir()] == ["labels.parquet"]


def test_only_temporary_files_are_removed(tmp_path):
    mine = [".bashrc", ".labels.parquet", ".config.abcdefgh.yaml", "labels.csv", ".notes.abcd-12-xyz.txt"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / "precious.csv").write_text("mine")
    (tmp_path / ".labels.abcd1234.csv").symlink_to(tmp_path / "precious.csv")
    remove_leftovers(tmp_path, alone=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*mine, "precious.csv", ".labels.abcd1234.csv"])
    remove_leftovers(tmp_path / "missing")


def test_files_of_an_older_version_go_where_nobody_else_writes(tmp_path):
    for name in (".labels.x8_k2a9b.parquet", ".model.abcdefgh.safetensors"):
        (tmp_path / name).write_text("half")
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path, alone=True)
    assert not list(tmp_path.iterdir())


def test_files_of_another_machine_stay_for_a_day_and_only_the_named_file_goes(tmp_path):
    other = f"{(int(files.machine(), 16) + 1) % 65536:04x}"
    names = [f".labels.{other}-4711-abcdefgh.csv", f".labels.{other}-4711-bcdefghi.csv", f".model.{other}-4711-bcdefghi.csv"]
    for name in names:
        (tmp_path / name).write_text("half")
    for name in names[1:]:
        os.utime(tmp_path / name, (0, 0))
    remove_leftovers(tmp_path, "labels")
    assert sorted(p.name for p in tmp_path.iterdir()) == [names[0], names[2]]


def test_a_number_of_a_process_that_came_again_protects_nothing(tmp_path):
    old = tmp_path / f"{files.temporary_prefix('labels')}abcdefgh.csv"
    old.write_text("half")
    remove_leftovers(tmp_path)
    assert old.exists()  # this process may be writing it
    os.utime(old, (0, 0))
    remove_leftovers(tmp_path)
    assert not old.exists()


def test_a_long_name_can_be_written(tmp_path):
    write_text(tmp_path / ("long" * 60 + ".txt"), "x")
    assert len(list(tmp_path.iterdir())) == 1
