"""The nearest centre of a split."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.edits import nearest
from selflabel.edits.nearest import nearest_centre


def test_the_nearest_centre_is_that_of_the_least_distance_whatever_the_block(monkeypatch):
    rng = np.random.default_rng(0)
    features, centres = rng.normal(size=(50, 4)).astype(np.float16), rng.normal(size=(3, 4)).astype(np.float32)
    rows = rng.permutation(50)[:31]
    plain = np.square(features[rows][:, None].astype(float) - centres).sum(axis=2).argmin(axis=1)
    for block in (31, 7):
        monkeypatch.setattr(nearest, "BLOCK", block)
        assert nearest_centre(features, rows, centres).tolist() == plain.tolist()


def test_of_centres_equally_near_it_is_the_first():
    assert nearest_centre(np.zeros((1, 2)), np.array([0]), np.array([[3.0, 4.0], [-3.0, -4.0]], np.float32)).tolist() == [0]


@pytest.mark.parametrize("features, available", [(None, "no features"), (np.zeros((5, 3)), "features of length 3")])
def test_features_of_another_length_are_refused_with_what_to_do(features, available):
    with pytest.raises(UserError, match=f"of length 2, and the run has {available}; undo it"):
        nearest_centre(features, np.arange(2), np.zeros((2, 2), np.float32))
