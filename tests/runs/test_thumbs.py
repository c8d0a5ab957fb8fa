"""Small pictures on disk: added when they are first shown, and never lost or mixed up."""

import numpy as np
import pytest

from selflabel.runs import thumbs as thumbs_module
from selflabel.runs.missing import Missing
from selflabel.runs.opening import open_source
from selflabel.runs.thumbs import ThumbnailFile, Thumbs, thumbnail_reader


@pytest.fixture
def digits(tmp_path):
    return open_source(tmp_path, "digits", [f"row:{i:06d}" for i in range(5)]).source


class Counted:
    """A source that counts what is read from it; row 3 is missing."""

    def __init__(self, source):
        self.source, self.rows = source, []

    def blobs(self, row):
        return {}

    def values(self, row):
        self.rows.append(row)
        if row == 3:
            raise Missing("gone")
        return self.source.values(row)


def test_a_picture_is_made_once_and_read_again_from_disk(digits, tmp_path):
    source = Counted(digits)
    first = Thumbs(tmp_path / "thumbs", source, 5)
    data = first.one(2)
    assert data.startswith(b"\x89PNG") and first.one(2) == data and source.rows == [2]
    assert Thumbs(tmp_path / "thumbs", source, 5).one(2) == data and source.rows == [2]


def test_a_bundle_has_a_length_for_every_row_and_none_for_what_is_missing(digits, tmp_path):
    thumbs = Thumbs(tmp_path / "thumbs", Counted(digits), 5)
    data, is_complete = thumbs.bundle([4, 3, 0])
    lengths = np.frombuffer(data[:12], "<u4")
    assert not is_complete and lengths[1] == 0
    assert data[12 : 12 + lengths[0]] == thumbs.one(4) and data[12 + lengths[0] :] == thumbs.one(0)
    assert thumbs.bundle([4, 0])[1]


def test_the_files_hold_offsets_and_lengths_and_pictures_of_another_run_go(tmp_path):
    file, two, zero = ThumbnailFile(tmp_path / "thumbs", 3), b"\x89PNG2", b"\xff\xd80"
    for row, picture in ((2, two), (0, zero)):
        file.put(row, picture)
    assert [file.get(row) for row in range(3)] == [zero, None, two]
    assert (tmp_path / "thumbs" / "tiles.bin").read_bytes() == two + zero
    file.index.flush()
    index = np.fromfile(tmp_path / "thumbs" / "index.bin", np.uint64).reshape(3, 2)
    assert index.tolist() == [[5, 3], [0, 0], [0, 5]]
    assert ThumbnailFile(tmp_path / "thumbs", 3).get(0) == zero
    assert ThumbnailFile(tmp_path / "thumbs", 4).get(0) is None  # another number of items: another run
    assert (tmp_path / "thumbs" / "tiles.bin").read_bytes() == b""


def test_a_reader_writes_nothing_and_uses_what_is_there(digits, tmp_path):
    source = Counted(digits)
    read = thumbnail_reader(tmp_path / "thumbs", source, 5)
    data = read(1)
    assert not (tmp_path / "thumbs").exists() and read(1) == data and source.rows == [1, 1]
    with pytest.raises(Missing):
        read(3)
    Thumbs(tmp_path / "thumbs", source, 5).one(1)
    source.rows.clear()
    assert thumbnail_reader(tmp_path / "thumbs", source, 5)(1) == data and not source.rows


def test_a_folder_that_cannot_be_written_and_a_full_disk_keep_nothing(digits, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    thumbs = Thumbs(tmp_path / "file" / "thumbs", digits, 5)
    assert not thumbs.file.is_open and thumbs.one(1).startswith(b"\x89PNG")
    thumbs = Thumbs(tmp_path / "thumbs", digits, 5)

    def full(*given):
        raise OSError("no space left")

    monkeypatch.setattr(thumbs_module.os, "write", full)
    assert thumbs.one(1).startswith(b"\x89PNG") and not thumbs.file.is_open
    assert thumbs.one(1).startswith(b"\x89PNG")


def test_on_a_full_disk_pictures_are_shown_and_not_kept(digits, tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(thumbs_module, "reserve", full)
    thumbs = Thumbs(tmp_path / "full", digits, 5)
    assert not thumbs.file.is_open and thumbs.bundle([0, 1])[1]
    monkeypatch.undo()
    half = Thumbs(tmp_path / "half", digits, 5)
    monkeypatch.setattr(thumbs_module.os, "write", lambda handle, data: len(data) // 2)  # a disk with room for half of it
    assert half.one(0) and not half.file.is_open
