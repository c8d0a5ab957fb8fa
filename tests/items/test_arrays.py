import io
import zipfile

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items


def test_arrays_are_images_or_features_and_pickles_are_never_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((5, 8, 8, 3), np.uint8))
    assert open_items(tmp_path / "x.npy").paths[3] == "row:000003"
    np.savez(tmp_path / "x.npz", x=np.ones((5, 4), np.float32), y=np.arange(5))
    items = open_items(tmp_path / "x.npz")
    assert items.are_features and items.truth == list("01234")
    np.save(tmp_path / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="without running code"):
        open_items(tmp_path / "evil.npy")
    features = np.ones((4, 3), np.float32)
    features[2, 1] = np.nan
    items = open_items(features)
    assert len(items) == 3 and items.skipped == [("row:000002", "a value is NaN or infinite")]


@pytest.mark.parametrize(
    "array", [np.zeros(4), np.zeros((0, 3)), np.zeros((2, 5, 4, 5)), np.full((2, 4, 4), np.nan), np.full((2, 3), np.nan)]
)
def test_other_arrays_are_refused_in_a_sentence(array):
    with pytest.raises(UserError):
        open_items(array)


def test_images_of_every_number_type_keep_it_and_others_are_refused():
    levels = np.array([[[0, 51], [102, 255]]])
    for dtype in (bool, np.int16, np.uint16, np.int64, np.float16, np.float64, np.uint8):
        assert open_items(levels.astype(dtype)).array.dtype == dtype
    for array in (np.ones((3, 2), complex), np.ones((3, 2, 2), complex), np.full((3, 2, 2), "x")):
        with pytest.raises(UserError, match="real numbers"):
            open_items(array)


def test_a_picture_without_a_finite_value_is_skipped():
    values = np.ones((4, 3, 3))
    values[1], values[2, 0] = np.nan, np.inf
    items = open_items(values)
    assert items.paths == ["row:000000", "row:000002", "row:000003"]
    assert items.skipped == [("row:000001", "no pixel has a finite value")]


def test_channels_may_come_first_and_a_shape_that_is_neither_is_named():
    first = np.random.default_rng(0).integers(0, 255, (5, 3, 8, 9), np.uint8)
    items = open_items(first)
    assert items.array.shape == (5, 8, 9, 3) and (items.array[2, 1, 4] == first[2, :, 1, 4]).all()
    assert "second number is taken for the channels" in items.notes[0]
    assert open_items(np.zeros((5, 8, 9, 3), np.uint8)).notes == []
    assert open_items(np.zeros((5, 3, 9, 3), np.uint8)).array.shape == (5, 3, 9, 3)  # the last axis goes first
    with pytest.raises(UserError, match=r"5x6x8x9.*choose channels"):
        open_items(np.zeros((5, 6, 8, 9), np.uint8))


def test_one_of_several_arrays_is_chosen_by_its_name_with_its_own_labels(tmp_path):
    file = tmp_path / "set.npz"
    arrays = {"x_train": np.ones((5, 4)), "y_train": np.arange(5), "x_test": np.zeros((5, 4)), "y_test": np.arange(5) + 7}
    np.savez_compressed(file, **arrays)
    with pytest.raises(UserError, match=r"x_train \(5x4\).*choose one, as .*set.npz:x_train"):
        open_items(file)
    with pytest.raises(UserError, match="has no array 'x'; it has x_train"):
        open_items(f"{file}:x")
    assert open_items(f"{file}:x_train").truth == list("01234")
    items = open_items(f"{file}:x_test")
    assert items.truth == ["7", "8", "9", "10", "11"] and (items.array == 0).all()
    np.savez(
        tmp_path / "t.npz", train_images=np.zeros((3, 4, 4), np.uint8), train_labels=np.array([2, 1, 0]), test_labels=np.arange(3)
    )
    assert open_items(tmp_path / "t.npz").truth == ["2", "1", "0"]


def test_an_array_that_does_not_fit_into_memory_is_refused_by_its_header(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 1000)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(10_000_000))
    with pytest.raises(UserError, match=r"needs 8,000\.0 GB of memory.*save it as \.npy"):
        open_items(tmp_path / "bomb.npz")
    (tmp_path / "lie.npy").write_bytes(header.getvalue() + bytes(1000))
    with pytest.raises(UserError, match="cannot be loaded"):
        open_items(tmp_path / "lie.npy")
