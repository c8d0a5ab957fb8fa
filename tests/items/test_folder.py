from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from selflabel.items import from_folder, open_items
from selflabel.items.folder import FolderFiles, list_folder, path_order
from tests.films import bars, tone, write_film
from tests.items.pictures import png

rng = np.random.default_rng(0)
PARTS = st.text(st.sampled_from("aB-.0é"), min_size=1, max_size=4).filter(lambda part: part not in (".", ".."))


def test_a_folder_is_searched_below_and_its_sub_folders_mean_nothing(tmp_path):
    for name in ("cats/a.PNG", "dogs/deep/b.jpg", "c.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())
    items = open_items(tmp_path)
    assert sorted(items.paths) == ["c.png", "cats/a.PNG", "dogs/deep/b.jpg"]
    assert items.truth is None


def test_names_come_in_the_order_of_their_paths_and_blobs_are_the_files(tmp_path, monkeypatch):
    for name in ("a-1.png", "a/z.png", "a.png", "a/b/c.png", "b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())
    (tmp_path / "link").symlink_to(tmp_path / "a")
    items = from_folder(tmp_path)
    assert items.paths == ["a/b/c.png", "a/z.png", "a-1.png", "a.png", "b.png"]
    assert [blob.file for blob in items.blobs["image"]] == [str(tmp_path / path) for path in items.paths]
    monkeypatch.chdir(tmp_path)
    assert [blob.file for blob in from_folder(Path()).blobs["image"]] == items.paths
    assert list_folder(Path("a"))[0] == ["b/c.png", "z.png"] and FolderFiles(Path("/"), ["a.png"])[0].file == "/a.png"


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=8))
def test_the_order_is_that_of_pathlib(names):
    assert sorted(names, key=path_order) == sorted(names, key=Path)


def test_files_that_share_a_stem_are_one_item_and_other_kinds_are_skipped(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((8, 8), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
        write_film(tmp_path / f"{i}.wav", wave=tone(300, 0.2), sound="pcm_s16le")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "lonely.png")
    write_film(tmp_path / "film.mkv", bars(4, 0, rng))
    items = from_folder(tmp_path)
    assert items.modalities == ("image", "audio") and items.paths == ["0.png", "1.png", "2.png", "film.mkv", "lonely.png"]
    assert items.blobs["audio"][4] is None and items.blobs["image"][3] is None
