import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import CannotWrite, UserError
from selflabel.decode import room
from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.room import make_room, readable, stores, usable_cache
from selflabel.items import Blob

Usage = namedtuple("Usage", "total used free")


def make_store(cache, name, nbytes, used):
    (cache / name).mkdir(parents=True)
    (cache / name / "items.npy").write_bytes(bytes(nbytes))
    os.utime(cache / name, (used, used))
    return cache / name


def test_the_least_recently_used_stores_make_room_on_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    for name, used in (("aa", 3), ("bb", 1), ("cc", 2), ("dd", 4)):
        make_store(tmp_path, name, 1000, used)
    total = 4000 + room.SPARE_BYTES
    monkeypatch.setattr(
        room.shutil, "disk_usage", lambda folder: Usage(0, 0, total - sum(size for _, size, _ in stores(tmp_path)))
    )
    make_room(tmp_path, 1500)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["aa", "dd"]
    make_room(tmp_path, 2500, keep=tmp_path / "aa")  # one that is in use stays
    assert [p.name for p in tmp_path.iterdir()] == ["aa"]
    with pytest.raises(CannotWrite, match=r"the disk is full .*--cache or SELFLABEL_CACHE"):
        make_room(tmp_path, 1 << 30)


@pytest.mark.parametrize("text", ["lots", "nan", "-1"])
def test_a_cap_that_is_no_number_is_one_sentence(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CACHE_GB", text)
    with pytest.raises(UserError, match=f"SELFLABEL_CACHE_GB={text}: must be a number of gigabytes"):
        make_room(tmp_path, 1)


def test_a_named_cache_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/cache: cannot be written \(Not a directory\); name another folder with --cache"):
        usable_cache(str(tmp_path / "file" / "cache"), print)
    monkeypatch.setenv("SELFLABEL_CACHE", "/proc/none")
    with pytest.raises(UserError, match="/proc/none: cannot be written"):
        usable_cache(None, print)


def test_without_a_home_that_can_be_written_a_temporary_folder_is_used_and_said(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.delenv("SELFLABEL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    lines = []
    folder = usable_cache(None, lines.append)
    assert folder.is_dir() and len(lines) == 1 and "temporary folder" in lines[0]

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nobody)
    assert usable_cache(None, lines.append).is_dir() and "no home folder" in lines[1]
    monkeypatch.setattr(room.tempfile, "mkdtemp", lambda **given: (_ for _ in ()).throw(FileNotFoundError("No usable folder")))
    with pytest.raises(UserError, match="name one with TMPDIR"):
        usable_cache(None, lines.append)


def test_bytes_are_readable():
    assert [readable(n) for n in (1, 1500, 2.5e6, 1.25e9, 3e12)] == ["1 bytes", "1.5 kB", "2.5 MB", "1.25 GB", "3e+03 GB"]


def pictures(folder, n):
    folder.mkdir()
    for i in range(n):
        Image.new("RGB", (20, 20), (i, 0, 0)).save(folder / f"{i}.png")
    return [Blob(str(folder / f"{i}.png")) for i in range(n)]


DECODE_WITH_A_LIMIT = """
import resource, sys
from tests.decode.test_room import *
if __name__ == "__main__":
    blobs = pictures(Path(sys.argv[1]) / "pictures", 20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        decoded_items(blobs, DecodedFormat("image", (3, 64, 64)), Path(sys.argv[1]) / "cache")
    except UserError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_one_sentence_and_leaves_nothing(tmp_path):
    words = [sys.executable, "-c", DECODE_WITH_A_LIMIT, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "cache: the disk is full (decoded items need 246 kB" in done.stdout
    assert not list((tmp_path / "cache").iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a megabyte."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this container cannot mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_older_stores_go_first(small_disk, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "SPARE_BYTES", 0)
    blobs, cache = pictures(tmp_path / "pictures", 20), small_disk / "cache"
    decoded_items(blobs, DecodedFormat("image", (3, 100, 100)), cache)
    decoded_items(blobs, DecodedFormat("image", (3, 99, 99)), cache)  # both do not fit
    assert len(stores(cache)) == 1
    with pytest.raises(UserError, match=r"the disk is full \(decoded items need 2.4 MB"):
        decoded_items(blobs, DecodedFormat("image", (3, 200, 200)), cache)
    monkeypatch.setattr(room, "free_bytes", lambda folder: np.inf)  # a disk that does not say what is free
    with pytest.raises(UserError, match="the disk is full"):
        decoded_items(blobs, DecodedFormat("image", (3, 201, 201)), cache)
    assert not list(cache.glob(".building-*"))
