import numpy as np
import pytest

from selflabel.evaluation.heatmaps import (
    SIDE,
    area_under,
    class_ious,
    consensus_iou,
    dark_areas,
    drawn,
    guessed_ious,
    match_classes,
    maximum_inside,
    of_picture,
    silent_area,
    sounding_ious,
    top_half,
)

LEFT, TOP = drawn(np.array([[0, 0, 1, 2]]), (2, 2)), drawn(np.array([[0, 0, 2, 1]]), (2, 2))


def test_consensus_iou_is_the_plain_formula_where_people_agree_and_where_they_do_not():
    inside, truth = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0.5, 0, 0.5, 0])
    assert consensus_iou(inside, truth) == pytest.approx(1.5 / (2 + 1))
    assert consensus_iou(LEFT, TOP) == pytest.approx(1 / 3) and consensus_iou(LEFT, LEFT) == 1
    assert consensus_iou(np.zeros(3, bool), np.zeros(3)) == 0


def test_the_area_is_the_trapezoid_over_twenty_one_levels():
    ious = np.array([0.0, 0.33, 0.7, 1.0])
    shares = [np.mean(ious >= x - 1e-9) for x in np.arange(21) / 20]
    assert area_under(ious) == pytest.approx(np.trapezoid(shares, dx=0.05))


def test_a_map_that_is_bright_everywhere_scores_as_the_whole_picture_and_no_more():
    for level in (0.0, 0.3, 1.0):
        everywhere = np.full((SIDE, SIDE), level)
        assert consensus_iou(top_half(everywhere), LEFT) == pytest.approx(LEFT.mean())
        assert maximum_inside(everywhere, LEFT) == pytest.approx(LEFT.mean())
    bright_left = np.where(LEFT, 0.9, 0.1)
    assert consensus_iou(top_half(bright_left), LEFT) == 1 and maximum_inside(bright_left, LEFT) == 1


def test_the_threshold_is_that_of_the_map_itself_not_of_the_first_one_of_a_batch():
    weak, strong = np.where(LEFT, 0.02, 0.004), np.where(TOP, 1.0, 0.1)
    together = class_ious(np.stack([strong, weak]), LEFT[None])
    alone = [class_ious(one[None], LEFT[None])[0, 0] for one in (strong, weak)]
    np.testing.assert_array_equal(together[0], alone)
    assert together[0].tolist() == pytest.approx([1 / 3, 1])


def test_logits_are_refused():
    for outside in (np.full((1, SIDE, SIDE), 1.5), np.full((1, SIDE, SIDE), -0.1)):
        with pytest.raises(ValueError, match="must have them in 0 to 1"):
            class_ious(outside, LEFT[None])
        with pytest.raises(ValueError, match="must have them in 0 to 1"):
            dark_areas(outside)


def test_maps_that_are_all_dark_have_no_overlap_although_their_silent_area_is_perfect():
    dark, both = np.zeros((2, SIDE, SIDE)), np.stack([LEFT, TOP])
    ious = class_ious(dark, both)
    assert (ious == 0).all() and silent_area(dark_areas(dark), np.array([0]), np.array([0, 1])) == 1


def test_channels_are_matched_to_classes_and_what_sounds_is_scored_apart_from_what_is_silent():
    maps = np.stack([np.where(TOP, 0.8, 0.0), np.where(LEFT, 0.6, 0.1), np.where(LEFT, 0.9, 0.0)])  # of classes 1, 0, none
    pictures = [np.array([0, 1]), np.array([0])]
    ious = [class_ious(maps, np.stack([(LEFT, TOP)[k] for k in classes])) for classes in pictures]
    ious[0][0, 2] = 0.5  # the third channel is a little worse than the second for class 0
    channels = match_classes(ious, pictures, 3)
    assert channels[:2].tolist() == [1, 0] and channels[2] == 2
    assert [sounding_ious(i, k, channels) for i, k in zip(ious, pictures)] == [1, 1]
    assert silent_area(dark_areas(maps), pictures[0], channels) == pytest.approx(0.5)  # of the third class
    assert np.isnan(silent_area(dark_areas(maps), np.arange(3), channels))
    one = match_classes([i[:, :1] for i in ious], pictures, 3)
    assert one.tolist() == [0, 0, 0]  # a map without classes stands for all
    few = match_classes([i[:, :2] for i in ious], pictures, 3)
    assert few[2] == -1 and sounding_ious(ious[0][:1], np.array([2]), few) == 0


def test_a_map_of_a_square_is_laid_over_the_picture_that_it_shows():
    letterbox = np.zeros((8, 8))
    letterbox[:4, 4:] = 1  # the right half of a picture twice as wide as high
    wide = of_picture(letterbox, (200, 100), "letterbox")
    assert wide[100, 60] == 0 and wide[100, 180] == 1
    middle = of_picture(np.ones((8, 8)), (200, 100), "square")
    assert middle[:, : SIDE // 4].max() == 0 and middle[:, SIDE // 4 : -SIDE // 4].min() == 1 and middle.mean() == 0.5


def test_where_four_quarters_are_known_and_two_sound_guessing_hits_one_in_five_of_twelve_scenes():
    quarters = np.stack([drawn(np.array([[x, y, x + 1, y + 1]]), (2, 2)) for x in (0, 1) for y in (0, 1)])
    guessed = guessed_ious(quarters, np.array([True, True, False, False]), draws=4000)
    assert (guessed >= 0.3).mean() == pytest.approx(5 / 12, abs=0.03)
