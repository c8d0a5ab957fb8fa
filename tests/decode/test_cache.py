import os

import numpy as np
from PIL import Image

from selflabel.decode import cache as stores
from selflabel.decode.cache import Form
from selflabel.items import from_folder


def folder_of(tmp_path, n=20, px=12):
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir(exist_ok=True)
    for i in range(n):
        Image.fromarray(rng.integers(0, 255, (px, px, 3)).astype(np.uint8)).save(folder / f"{i:03d}.png")
    return folder


def test_a_second_run_decodes_nothing_and_a_grown_folder_only_what_is_new(tmp_path):
    folder, place = folder_of(tmp_path), tmp_path / "cache"
    (folder / "bad.jpg").write_text("no picture")
    first = stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), place)
    assert first.decoded == 21 and list(first.bad) == [20]
    again = stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), place)
    assert again.decoded == 0 and again.bad == first.bad
    assert np.array_equal(again.items, first.items)
    Image.new("RGB", (9, 9), "red").save(folder / "zz.png")
    grown = stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), place)
    assert grown.decoded == 1
    assert np.array_equal(grown.items[:20], first.items[:20])
    assert (grown.items[21][0] == 255).all() and 20 in grown.bad


def test_a_changed_file_and_other_settings_are_decoded_anew(tmp_path):
    folder, place = folder_of(tmp_path, 3), tmp_path / "cache"
    stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), place)
    Image.new("RGB", (12, 12), "blue").save(folder / "001.png")
    os.utime(folder / "001.png", (1, 1))
    changed = stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), place)
    assert changed.decoded == 1 and (changed.items[1][2] == 255).all()
    assert stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (1, 8, 8)), place).decoded == 3


def test_processes_and_one_process_decode_the_same(tmp_path):
    folder = folder_of(tmp_path, 150)
    many = stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), tmp_path / "a", workers=2)
    one = stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 8, 8)), tmp_path / "b", workers=1)
    assert np.array_equal(many.items, one.items)


def test_the_oldest_sets_go_when_the_cap_is_passed_and_clear_frees_all(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    folder = folder_of(tmp_path, 10)
    for px in (8, 9, 10):
        stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, px, px)), place)
        os.utime(stores.stores(place)[-1][2], (px, px))
    assert len(stores.stores(place)) == 3
    monkeypatch.setenv("SELFLABEL_CACHE_GB", "1e-5")
    stores.decoded_items(from_folder(folder).blobs["image"], Form("image", (3, 11, 11)), place)
    assert len(stores.stores(place)) < 4
    assert stores.clear(place) > 0 and not stores.stores(place)
