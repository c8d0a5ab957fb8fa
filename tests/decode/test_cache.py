import errno
import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from selflabel.base.errors import UserError
from selflabel.decode import cache as stores
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.room import building_folder
from selflabel.items import Blob, from_folder


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
    first = stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), place)
    assert first.n_decoded == 21 and list(first.errors) == [20]
    again = stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), place)
    assert again.n_decoded == 0 and again.errors == first.errors
    assert np.array_equal(again.items, first.items)
    Image.new("RGB", (9, 9), "red").save(folder / "zz.png")
    grown = stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), place)
    assert grown.n_decoded == 1
    assert np.array_equal(grown.items[:20], first.items[:20])
    assert (grown.items[21][0] == 255).all() and 20 in grown.errors


def test_a_changed_file_and_other_settings_are_decoded_anew(tmp_path):
    folder, place = folder_of(tmp_path, 3), tmp_path / "cache"
    stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), place)
    Image.new("RGB", (12, 12), "blue").save(folder / "001.png")
    os.utime(folder / "001.png", (1, 1))
    changed = stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), place)
    assert changed.n_decoded == 1 and (changed.items[1][2] == 255).all()
    assert stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (1, 8, 8)), place).n_decoded == 3


def test_processes_and_one_process_decode_the_same(tmp_path):
    folder = folder_of(tmp_path, 150)
    many = stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), tmp_path / "a", workers=2)
    one = stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8)), tmp_path / "b", workers=1)
    assert np.array_equal(many.items, one.items)


def test_the_oldest_sets_go_when_the_cap_is_passed_and_clear_frees_all(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    folder = folder_of(tmp_path, 10)
    for px in (8, 9, 10):
        stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, px, px)), place)
        os.utime(stores.stores(place)[-1][2], (px, px))
    assert len(stores.stores(place)) == 3
    monkeypatch.setenv("SELFLABEL_CACHE_GB", "1e-5")
    stores.decoded_items(from_folder(folder).blobs["image"], DecodedFormat("image", (3, 11, 11)), place)
    assert len(stores.stores(place)) < 4
    assert stores.clear(place) > 0 and not stores.stores(place)


def test_caches_of_version_0_1_0_stay_valid(tmp_path):
    """A store's name is a digest of its format and of its items' stamps, and its stamps are stored."""
    folder, place = folder_of(tmp_path, 3), tmp_path / "cache"
    blobs = from_folder(folder).blobs["image"]
    store = stores.decoded_items(blobs, DecodedFormat("image", (3, 8, 8)), place).folder
    digests = [hashlib.blake2b(blob.stamp().encode(), digest_size=16).digest() for blob in blobs]
    prefix = hashlib.blake2b(b"3|Form(kind='image', shape=(3, 8, 8), rate=0)", digest_size=6).hexdigest()
    assert store.name == f"{prefix}-{hashlib.blake2b(b''.join(digests), digest_size=10).hexdigest()}"
    assert [row.tobytes() for row in np.load(store / "stamps.npy")] == digests


def test_rows_of_older_stores_are_copied_in_blocks_and_equal_files_only_once(tmp_path, monkeypatch):
    folder, place = folder_of(tmp_path, 9), tmp_path / "cache"
    (folder / "bad.png").write_text("no picture")
    (folder / "empty.png").write_text("")
    files = list(from_folder(folder).blobs["image"])
    monkeypatch.setattr(stores, "COPY_BYTES", 400)  # two rows
    target = DecodedFormat("image", (3, 8, 8))
    whole = stores.decoded_items(files, target, place)
    stores.decoded_items(files[5:], target, place)  # a second store that has some of the rows
    mixed = [files[10], None, files[2], files[9], files[2], files[0], Blob(str(folder / "gone.png"))]
    again = stores.decoded_items(mixed, target, place)
    assert again.n_decoded == 2  # the first of two equal files, and the missing one
    assert {row: reason.split(" (")[0] for row, reason in again.errors.items()} == {
        0: "the file is empty",
        3: "not an image, whatever its name says",
        6: "cannot be read",
    }
    assert (again.items[[2, 4]] == whole.items[2]).all() and (again.items[5] == whole.items[0]).all()
    assert again.lengths.tolist() == [0, 0, 1, 0, 1, 1, 0]


def test_a_store_that_another_run_finished_first_is_used_and_a_failed_one_leaves_nothing(tmp_path, monkeypatch):
    folder, place = folder_of(tmp_path, 3), tmp_path / "cache"
    blobs, target = from_folder(folder).blobs["image"], DecodedFormat("image", (3, 8, 8))
    first = stores.decoded_items(blobs, target, place)
    with building_folder(place) as building:
        assert stores.move_into_place(building, first.folder, target).folder == first.folder
    assert not building.exists() and stores.decoded_items(blobs, target, place).n_decoded == 0

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores, "decode_rows", full)
    with pytest.raises(UserError, match=r"the disk is full \(decoded items need 384 bytes"):
        stores.decoded_items(blobs[1:], target, place)
    assert [p.name for p in place.iterdir()] == [first.folder.name]


def test_unfinished_stores_go_once_their_process_is_gone_and_without_a_lock_after_a_day(tmp_path):
    (tmp_path / ".building-old").mkdir()
    (tmp_path / ".building-new").mkdir()
    os.utime(tmp_path / ".building-old", (1, 1))
    (tmp_path / ".building-dead").mkdir()
    (tmp_path / ".building-dead" / "lock").touch()
    with building_folder(tmp_path) as mine:
        stores.make_room(tmp_path, 0)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([".building-new", mine.name])
    assert not mine.exists()


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SELFLABEL_CACHE", str(tmp_path / "own"))
    assert stores.default_cache() == tmp_path / "own"
    monkeypatch.delenv("SELFLABEL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert stores.default_cache() == tmp_path / "selflabel"
