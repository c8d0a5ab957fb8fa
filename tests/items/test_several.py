import os
import tarfile

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items
from tests.items.pictures import png


@pytest.fixture
def place(tmp_path, monkeypatch):
    for i, name in enumerate(("a/1.png", "a/2.png", "b/1.png", "c.png", "c.wav", "d.png", "d.wav", "notes.txt")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(i))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_are_those_of_their_common_folder(place):
    assert open_items(["a/1.png", "a/2.png"]).paths == ["1.png", "2.png"]
    items = open_items(["d.png", "c.png", "c.wav", "d.wav", "c.png"])
    assert items.paths == ["c.png", "d.png"] and items.modalities == ("image", "audio")
    assert items.blobs["image"][1].read() == png(5)
    assert open_items("a/*.png").paths == open_items([str(place / "a" / "*.png")]).paths == ["1.png", "2.png"]


def test_folders_and_files_keep_their_folders_in_their_paths(place):
    assert open_items(["a", "b"]).paths == ["a/1.png", "a/2.png", "b/1.png"]
    assert open_items(["b", "c.png"]).paths == ["b/1.png", "c.png"]
    assert open_items([".", "a"]).paths == ["a/1.png", "a/2.png", "b/1.png", "c.png", "d.png"]
    assert open_items([place / "a", place / "b"]).paths == ["a/1.png", "a/2.png", "b/1.png"]


def test_beside_files_and_folders_others_are_counted_as_a_shells_star_names_them(place):
    (place / "list.csv").write_text("path\nc.png\n")
    (place / "x.zip").write_bytes(b"x")
    items = open_items(sorted(p.name for p in place.iterdir()))
    assert items.paths == ["a/1.png", "a/2.png", "b/1.png", "c.png", "d.png"]
    assert items.skipped[0][0] == "x.zip" and "1 .txt" in items.notes[0] and "1 .csv" in items.notes[0]


def test_a_bad_name_or_a_link_to_nowhere_ends_nothing(place):
    (place / os.fsdecode(b"caf\xe9.png")).write_bytes(png())
    (place / "e.png").symlink_to("gone")
    items = open_items(sorted(place.glob("*.png")))
    assert items.paths == ["c.png", "d.png", "e.png"]  # the link is listed when it cannot be decoded
    assert items.skipped == [("caf\\xe9.png", "its name is not UTF-8; rename it")]


def test_other_sources_come_one_after_the_other(place):
    (place / "list.csv").write_text("path,label\na/1.png,x\ngone.png,y\n")
    with tarfile.open(place / "s.tar", "w") as tar:
        tar.add(place / "b" / "1.png", "t.png")
    items = open_items(["list.csv", "s.tar"])
    assert items.paths == ["list.csv/a/1.png", "s.tar/t.png"] and items.truth == ["x", ""]
    assert [blob.read() for blob in items.blobs["image"]] == [png(0), png(2)]
    assert items.skipped == [("list.csv/gone.png", "no such file")]
    assert items.take([1]).blobs["image"][0].read() == png(2)


def test_what_is_missing_or_cannot_be_joined_is_a_sentence(place):
    with pytest.raises(UserError, match=r"gone.png: there is no such file"):
        open_items(["c.png", "gone.png"])
    with pytest.raises(UserError, match="no source was given"):
        open_items([])
    np.save("x.npy", np.zeros((3, 4)))
    (place / "list.csv").write_text("path\nc.png\n")
    with pytest.raises(UserError, match="arrays cannot be joined"):
        open_items(["x.npy", "x.npy", "list.csv"])
    with pytest.raises(UserError, match=r"\*.jpg: there is no such file"):
        open_items("*.jpg")


def test_an_empty_name_is_no_source_and_an_embedded_set_stands_alone(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0))
    for names in ("", ["", str(tmp_path)]):
        with pytest.raises(UserError, match="no source was given"):
            open_items(names)
    with pytest.raises(UserError, match="digits: an embedded set cannot be joined"):
        open_items(["digits", str(tmp_path)])
