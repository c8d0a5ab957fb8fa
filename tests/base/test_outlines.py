"""Outlines of objects as masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from selflabel.base.outlines import mask_of_outlines

corner = st.tuples(*[st.one_of(st.integers(-3, 40), st.floats(-3, 40, width=32))] * 2)
outline = st.lists(corner, min_size=3, max_size=7)


@given(st.lists(outline, min_size=1, max_size=3), st.integers(1, 36), st.integers(1, 36))
def test_outlines_become_the_masks_that_coco_makes_of_them(outlines, width, height):
    mask = mask_of_outlines([np.array(o, float) for o in outlines], width, height)
    theirs = coco.merge(coco.frPyObjects([np.array(o, float).reshape(-1).tolist() for o in outlines], height, width))
    assert np.array_equal(mask.decode(), coco.decode(theirs).astype(bool))


@pytest.mark.parametrize("far", [float("nan"), float("inf"), 1e12])
def test_an_outline_without_bounds_is_refused_before_it_is_walked(far):
    with pytest.raises(ValueError, match="leaves the picture by far"):
        mask_of_outlines([np.array([[0, 0], [far, 0], [3, 3]])], 20, 20)
