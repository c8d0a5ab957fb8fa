import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.items import open_items
from selflabel.items.arrays import to_uint8


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
    "array", [np.zeros(4), np.zeros((0, 3)), np.zeros((2, 5, 4, 5)), np.full((2, 4, 4), 999.0), np.full((2, 3), np.nan)]
)
def test_other_arrays_are_refused_in_a_sentence(array):
    with pytest.raises(UserError):
        open_items(array)


def test_images_of_every_number_type_become_bytes():
    levels = np.array([[[0, 51], [102, 255]]])
    for array in (levels, levels.astype(np.uint16) * 257, levels / 255, levels.astype(np.float64), levels.astype(np.uint8)):
        assert to_uint8(array, "x").dtype == np.uint8 and to_uint8(array, "x").tolist() == levels.tolist()
    with pytest.raises(UserError, match="real numbers"):
        open_items(np.ones((3, 2), complex))
