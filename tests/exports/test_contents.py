"""Items' own bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from selflabel.exports import contents
from selflabel.exports.contents import image_size, open_blob, read_bytes, read_chunks, safe_ending, sound_ending
from selflabel.items import Blob
from selflabel.runs.missing import Missing
from tests.films import tone, write_film


def test_bytes_of_a_broken_picture_are_not_turned_into_a_png(tmp_path):
    (tmp_path / "x.gif").write_bytes(b"junk")
    with pytest.raises(Missing):
        read_bytes(Blob(str(tmp_path / "x.gif")), as_png=True)
    with pytest.raises(Missing):
        image_size(Blob(str(tmp_path / "x.gif")))
    assert Image.open(io.BytesIO(read_bytes(np.zeros((3, 4), np.uint8)))).size == (4, 3)


@pytest.mark.parametrize(
    "path, ending", [("a/B.JPG", ".jpg"), ("a.mp4", ".mp4"), ("a.x y;", ".xy"), ("a." + "q" * 40, "." + "q" * 9), ("a.b/c", "")]
)
def test_an_odd_ending_is_made_safe_and_short(path, ending):
    assert safe_ending(path) == ending


@pytest.mark.parametrize("ending, codec", [(".wav", "pcm_s16le"), (".flac", "flac"), (".ogg", "flac"), (".m4a", "aac")])
def test_a_sound_in_a_tar_has_the_ending_of_its_first_bytes(tmp_path, ending, codec):
    file = tmp_path / f"x{ending}"
    write_film(file, wave=tone(300, 0.2), sound=codec)
    assert sound_ending(Blob(str(file))) == ending
    (tmp_path / "other").write_bytes(b"ID3 and so on")
    assert sound_ending(Blob(str(tmp_path / "other"))) == ".mp3"


def test_bytes_are_read_in_chunks_and_spans_of_a_tar_are_only_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "CHUNK", 4)
    (tmp_path / "x").write_bytes(b"0123456789")
    assert list(read_chunks(Blob(str(tmp_path / "x")))) == [b"0123", b"4567", b"89"]
    assert b"".join(read_chunks(Blob(str(tmp_path / "x"), 3, 5))) == b"34567"
    with open_blob(Blob(str(tmp_path / "x"), 3, 5)) as file:
        assert file.read() == b"34567"


@pytest.mark.parametrize("read", [read_bytes, lambda blob: list(read_chunks(blob)), open_blob, image_size, sound_ending])
def test_a_file_that_is_gone_is_missing_however_it_is_read(read, tmp_path):
    with pytest.raises(Missing):
        read(Blob(str(tmp_path / "gone")))


def test_the_size_is_that_of_the_stored_picture(tmp_path):
    Image.new("RGB", (7, 5)).save(tmp_path / "x.png")
    assert image_size(Blob(str(tmp_path / "x.png"))) == image_size(np.zeros((5, 7, 3), np.uint8)) == (7, 5)
