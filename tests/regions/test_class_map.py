import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from selflabel.regions.class_map import connected_regions, pixel_classes, without_specks

maps = arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2))


@given(maps)
@settings(deadline=None)
def test_the_regions_of_a_map_cover_every_pixel_once_with_its_class(classes):
    covered, count = np.full(classes.shape, -1), np.zeros(classes.shape, int)
    for region in connected_regions(classes):
        covered[region.rows, region.columns][region.inside] = region.label
        count[region.rows, region.columns] += region.inside
        assert region.inside.any(axis=0).all() and region.inside.any(axis=1).all()  # its box fits
    assert (covered == classes).all() and (count == 1).all()


@given(maps, st.integers(0, 12))
@settings(deadline=None)
def test_without_specks_large_pieces_stay_and_small_ones_take_a_class_that_a_large_one_has(classes, least):
    large = [region for region in connected_regions(classes) if region.inside.sum() >= least]
    found = without_specks(classes, least)
    if not large:
        assert (found == classes).all()
        return
    for region in large:
        assert (found[region.rows, region.columns][region.inside] == region.label).all()
    assert {*found.reshape(-1).tolist()} <= {region.label for region in large}


def test_a_class_below_zero_is_no_region():
    assert [region.label for region in connected_regions(np.array([[-1, 3], [-1, 3]]))] == [3]


def test_pixels_follow_the_border_of_the_picture_between_two_patches():
    guide = np.full((32, 64), 0.1, np.float32)
    guide[:, 37:] = 0.9  # the border lies within the patches of columns 32 to 47
    soft = np.zeros((2, 2, 4), np.float32)
    soft[0, :, :2], soft[1, :, 2:] = 1, 1
    classes = pixel_classes(soft, guide).argmax(axis=0)
    assert (classes[:, :34] == 0).all() and (classes[:, 40:] == 1).all()
