import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from selflabel.decode.cache import decoded_items
from selflabel.decode.formats import DecodedFormat
from selflabel.decode.store import read_store
from selflabel.items import Blob

TARGET = DecodedFormat("image", (3, 8, 8))


def truncate(store):
    file = store / "items.npy"
    file.write_bytes(file.read_bytes()[:200])


def replace_items(store, array):
    np.save(store / "items.npy", array, allow_pickle=array.dtype == object)


def link(store, elsewhere):
    (store / "lengths.npy").replace(elsewhere)
    (store / "lengths.npy").symlink_to(elsewhere)


def link_folder(store, elsewhere):
    shutil.move(store, elsewhere)
    store.symlink_to(elsewhere)


DAMAGES = {
    "cut": lambda store, other: truncate(store),
    "empty": lambda store, other: (store / "items.npy").write_bytes(b""),
    "no array": lambda store, other: (store / "stamps.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': ((("),
    "another shape": lambda store, other: replace_items(store, np.zeros((4, 3, 9, 9), np.uint8)),
    "fewer rows": lambda store, other: replace_items(store, np.zeros((3, 3, 8, 8), np.uint8)),
    "another type": lambda store, other: replace_items(store, np.zeros((4, 3, 8, 8), np.float32)),
    "a pickle": lambda store, other: replace_items(store, np.array([print] * 4, object)),
    "stamps of other files": lambda store, other: np.save(store / "stamps.npy", np.zeros((4, 16), np.uint8)),
    "negative lengths": lambda store, other: np.save(store / "lengths.npy", np.full(4, -1, np.int32)),
    "no JSON": lambda store, other: (store / "bad.json").write_text("{"),
    "a list": lambda store, other: (store / "bad.json").write_text("[]"),
    "a row that is not there": lambda store, other: (store / "bad.json").write_text('{"99": "x"}'),
    "a row that is no number": lambda store, other: (store / "bad.json").write_text('{"x": "x"}'),
    "a reason that is no text": lambda store, other: (store / "bad.json").write_text('{"0": [1]}'),
    "deep JSON": lambda store, other: (store / "bad.json").write_text("[" * 200_000),
    "limits that are none": lambda store, other: (store / "retry.json").write_text('{"3": 7}'),
    "a link": link,
    "a folder that is a link": link_folder,
}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        Image.new("RGB", (9, 9), (50 * i, 20, 30)).save(folder / f"{i}.png")
    (folder / "3.png").write_text("no picture")
    return [Blob(str(folder / f"{i}.png")) for i in range(4)]


@pytest.fixture(scope="module")
def whole(blobs, tmp_path_factory):
    return decoded_items(blobs, TARGET, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_built_anew(damage, blobs, whole, tmp_path):
    store = tmp_path / "cache" / whole.folder.name
    shutil.copytree(whole.folder, store)
    DAMAGES[damage](store, tmp_path / "elsewhere")
    again = decoded_items(blobs, TARGET, tmp_path / "cache")
    assert np.array_equal(again.items, whole.items) and again.errors == whole.errors
    assert again.lengths.tolist() == [1, 1, 1, 0]
    assert not store.is_symlink() and read_store(store, TARGET) is not None
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [store.name]


def test_a_store_that_may_only_be_read_is_read(blobs, whole, tmp_path, monkeypatch):
    def refuse(*given, **named):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert decoded_items(blobs, TARGET, whole.folder.parent).n_decoded == 0


def test_failures_that_older_versions_stored_are_kept_unless_they_may_pass_now(blobs, whole, tmp_path):
    store = tmp_path / whole.folder.name
    shutil.copytree(whole.folder, store)
    reasons = {"2": "the decoder crashed on it, or took over 60 s", "3": "not an image, whatever its name says"}
    (store / "bad.json").write_text(json.dumps(reasons))
    again = decoded_items(blobs, TARGET, tmp_path)
    assert again.n_decoded == 1 and list(again.errors) == [3]
    assert json.loads((store / "bad.json").read_text()) == {"3": reasons["3"]}
