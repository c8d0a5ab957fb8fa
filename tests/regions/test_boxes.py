import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selflabel.regions.boxes import box_ious, box_of, distinct, mask_iou

boxes = st.tuples(*[st.integers(0, 9)] * 4).map(lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])))


def filled(box, side=10):
    mask = np.zeros((side, side), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


@given(boxes, boxes)
def test_ious_of_boxes_are_those_of_their_pixels(one, other):
    (iou,) = box_ious(np.array([one]), np.array([other]))[0]
    assert (
        iou
        == pytest.approx(mask_iou(filled(one), filled(other)))
        == pytest.approx(box_ious(np.array([other]), np.array([one])).item())
    )


@given(boxes)
def test_the_box_of_a_filled_box_is_that_box(box):
    assert box_of(filled(box)) == (box if filled(box).any() else (0, 0, 0, 0))


def test_the_first_of_masks_that_overlap_is_kept():
    masks = [filled((0, 0, 4, 4)), filled((0, 0, 4, 5)), filled((5, 5, 9, 9))]
    assert distinct(masks, 0.5) == [0, 2] and distinct(masks, 0.9) == [0, 1, 2] and distinct([], 0.5) == []
