import pytest

import selflabel.items
from selflabel.base.errors import UserError
from selflabel.items import open_items
from tests.items.pictures import png


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no-such-folder", None, "no such file"),
        ("empty", "folder", "no images"),
        ("list.csv", b"file\na.png\n", "no 'path' column"),
        ("list.csv", b"path\ngone.png\n", "none of its 1 paths"),
        ("list.csv", b"", "empty"),
        ("list.jsonl", b"[1]\n", "object"),
        ("list.parquet", b"junk", "cannot be read"),
        ("x.npy", b"junk", "cannot be loaded"),
        ("x.tar", b"junk", "cannot be read as a tar"),
        ("x.xyz", b"junk", "cannot be labelled"),
    ],
)
def test_unusable_sources_are_named_with_the_remedy(tmp_path, name, content, message):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        open_items(path)


def test_one_file_is_a_set_of_one(tmp_path):
    (tmp_path / "a.PNG").write_bytes(png(7))
    items = open_items(tmp_path / "a.PNG")
    assert items.paths == ["a.PNG"] and items.blobs["image"][0].read() == png(7)


def test_a_folder_of_an_embedded_sets_name_is_the_folder(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "a.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    assert open_items("digits").paths == ["a.png"]


def test_every_public_name_is_there():
    assert all(hasattr(selflabel.items, name) for name in selflabel.items.__all__)
