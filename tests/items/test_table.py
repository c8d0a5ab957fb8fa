import pickle

import numpy as np
import pytest

from selflabel.items import Blob, Blobs, Items

FILES = [Blob(f"{i}.png") for i in range(4)]


def test_a_blob_reads_its_span_and_its_stamp_follows_the_file(tmp_path):
    file = tmp_path / "a.tar"
    file.write_bytes(b"0123456789")
    assert Blob(str(file)).read() == b"0123456789" and Blob(str(file), 2, 3).read() == b"234"
    stamps = {Blob(str(file)).stamp(), Blob(str(file), 2, 3).stamp(), Blob(str(file), 2, 4).stamp()}
    assert len(stamps) == 3
    before = Blob(str(file)).stamp()
    file.write_bytes(b"0123456789a")
    assert Blob(str(file)).stamp() != before
    with pytest.raises(OSError, match="gone"):
        Blob(str(tmp_path / "gone")).stamp()


def test_a_blob_goes_to_another_process_and_cannot_be_changed():
    blob = Blob("a.png", 3, 5)
    assert pickle.loads(pickle.dumps(blob)) == blob
    with pytest.raises(AttributeError):
        blob.file = "b.png"


def test_blobs_are_a_sequence_with_none_for_what_is_absent():
    blobs = Blobs(FILES, np.array([2, -1, 0]))
    assert len(blobs) == 3 and list(blobs) == [FILES[2], None, FILES[0]]
    assert blobs[0] == FILES[2] and blobs[1] is None and blobs[-1] == FILES[0]
    assert list(blobs[1:]) == [None, FILES[0]] and list(blobs.take([2, 2])) == [FILES[0], FILES[0]]
    with pytest.raises(IndexError):
        blobs[3]


@pytest.mark.parametrize("table", [Blobs(FILES, np.array([3, -1, 1])), [FILES[3], None, FILES[1]]])
def test_rows_are_taken_in_order_with_what_was_skipped(table):
    items = Items("set", ["a", "b", "c"], {"image": table, "audio": FILES[:3]}, truth=list("xyz"), skipped=[("d", "broken")])
    some = items.take([2, 0], [("b", "empty")])
    assert some.paths == ["c", "a"] and some.truth == ["z", "x"] and some.skipped == [("d", "broken"), ("b", "empty")]
    assert list(some.blobs["image"]) == [FILES[1], FILES[3]] and list(some.blobs["audio"]) == [FILES[2], FILES[0]]
    assert items.take([0, 1, 2]) is items
    assert items.only(["audio"]).modalities == ("audio",)


def test_an_array_has_images_or_features():
    images, features = Items("x", ["a"], array=np.zeros((1, 4, 4), np.uint8)), Items("x", ["a"], array=np.zeros((1, 4)))
    assert images.modalities == ("image",) and not images.are_features and features.are_features
    assert images.only(["image"]) is images and len(features.take([0], [("b", "NaN")]).array) == 1


def test_as_many_rows_as_there_are_items_need_not_be_all_of_them():
    paths = [blob.file for blob in FILES]
    items = Items("here", paths, {"image": FILES})
    for rows in ([0, 2, 2, 3], [3, 2, 1, 0]):  # such as two objects in one photo and none in another
        taken = items.take(rows)
        assert taken.paths == [paths[i] for i in rows] == [blob.file for blob in taken.blobs["image"]]
    assert items.take([0, 1, 2, 3]) is items
