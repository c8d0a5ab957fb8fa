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
    "array", [np.zeros(4), np.zeros((0, 3)), np.zeros((2, 3, 4, 5)), np.full((2, 4, 4), np.nan), np.full((2, 3), np.nan)]
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
