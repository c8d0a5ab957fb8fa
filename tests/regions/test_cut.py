import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.regions.cut import alike, apartness, cut_objects, threshold_above
from tests.regions.test_spectrum import patches


def scene(*boxes, side=12, noise=0.05, seed=0):
    """Features of a picture with things in these boxes (y0, y1, x0, x1), each unlike everything else."""
    rng = np.random.default_rng(seed)
    field = np.zeros((side, side, 8), np.float32)
    field[..., 0] = 1
    for k, (y0, y1, x0, x1) in enumerate(boxes, 1):
        field[y0:y1, x0:x1] = np.eye(8)[k]
    return field + noise * rng.normal(size=field.shape).astype(np.float32)


def test_all_things_of_a_scene_are_found_each_once_and_the_first_score_is_the_highest():
    boxes = [(2, 5, 2, 5), (7, 10, 1, 4), (3, 9, 7, 10)]
    cuts = cut_objects(scene(*boxes), most=5, tau=0.2, min_area=0.01)
    found = {
        tuple(np.flatnonzero(m.any(1))[[0, -1]] + [0, 1]) + tuple(np.flatnonzero(m.any(0))[[0, -1]] + [0, 1]) for m, _ in cuts
    }
    assert found == set(boxes)  # and not the rest, whose patches are all alike
    assert [c.score for c in cuts] == sorted((c.score for c in cuts), reverse=True) and all(0 < c.score <= 1 for c in cuts)


def test_a_side_with_three_corners_is_background_even_where_it_is_the_smaller_one():
    frame = scene((1, 11, 1, 11))  # the middle is large, the frame around it holds all corners
    (only,) = cut_objects(frame, most=1, tau=0.2, min_area=0.01)
    assert only.mask[5, 5] and not only.mask[0, 0]


@pytest.mark.parametrize("features", [np.ones((6, 6, 4)), np.zeros((6, 6, 4)), np.ones((1, 2, 4)), np.ones((1, 1, 4))])
def test_nothing_is_found_where_nothing_stands_out(features):
    assert cut_objects(features.astype(np.float32), most=3, tau=0.2, min_area=0.01) == []


def test_pieces_below_the_least_area_are_no_objects_and_hide_none():
    specks = scene((1, 2, 1, 2), (1, 2, 10, 11), (10, 11, 1, 2), (4, 9, 4, 9))
    (only,) = cut_objects(specks, most=1, tau=0.2, min_area=0.05)
    assert only.mask.sum() == 25 and only.mask[4:9, 4:9].all()


@given(st.integers(0, 2**31), st.integers(3, 12), st.integers(1, 4), st.floats(0, 0.3))
@settings(deadline=None, max_examples=40)
def test_objects_of_any_picture_are_connected_large_enough_and_share_no_patch(seed, side, most, min_area):
    from scipy.ndimage import label

    cuts = cut_objects(patches(np.random.default_rng(seed), side), most, 0.2, min_area)
    masks = [c.mask for c in cuts]
    assert len(cuts) <= most and (not masks or np.sum(masks, axis=0).max() <= 1)
    assert all(label(m)[1] == 1 and m.sum() >= max(1, min_area * m.size) for m in masks)


@given(st.integers(0, 2**31), st.floats(0.1, 100))
@settings(deadline=None, max_examples=20)
def test_the_length_of_features_and_a_turn_of_the_picture_change_nothing(seed, factor):
    picture = scene((1, 4, 2, 6), (6, 10, 5, 9), seed=seed)
    cuts = [c.mask for c in cut_objects(picture, 2, 0.2, 0.01)]
    longer = [c.mask for c in cut_objects(picture * np.float32(factor), 2, 0.2, 0.01)]
    turned = [np.rot90(c.mask, -1) for c in cut_objects(np.ascontiguousarray(np.rot90(picture)), 2, 0.2, 0.01)]
    assert all((a == b).all() for a, b in zip(cuts, longer)) and {m.sum() for m in cuts} == {m.sum() for m in turned}


def test_apartness_and_the_threshold_are_shares_of_pairs():
    features = scene((0, 2, 0, 2), side=4, noise=0)
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True
    graph = alike(features.reshape(16, 8), 0.2)
    assert apartness(graph, mask) == 1.0 and apartness(graph, np.ones((4, 4), bool)) == 0.0
    mask[0, 0] = False  # one of the 13 outside is alike the three inside
    assert apartness(graph, mask) == pytest.approx(12 / 13)
    noisy = patches(np.random.default_rng(0), 10)
    share = alike(noisy.reshape(100, -1), threshold_above(noisy, 0.15))
    assert (share.sum() - 100) / 9900 == pytest.approx(0.15, abs=0.01)
