from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.evaluation.class_maps import class_map_scores, pixel_table


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_scores_are_those_of_the_best_of_all_ways_to_match_clusters_with_classes(seed, n_classes, n_clusters):
    rng = np.random.default_rng(seed)
    truth, found = rng.integers(0, n_classes, (6, 8)), rng.integers(-1, n_clusters, (6, 8))
    truth[0, :3] = 255
    scores = class_map_scores(pixel_table(truth, found, n_classes, n_clusters))
    known = truth != 255
    slots = [*range(n_classes), *[None] * n_clusters]  # a cluster may stay without a class

    def right(classes):
        return sum(int(((found == k) & (truth == c) & known).sum()) for k, c in enumerate(classes) if c is not None)

    most = max(right(classes) for classes in permutations(slots, n_clusters))
    assert scores["accuracy"] == pytest.approx(most / known.sum())

    def miou(classes):
        ious = []
        for c in np.unique(truth[known]):
            mine = np.isin(found, [k for k, own in enumerate(classes) if own == c]) & known
            ious.append((mine & (truth == c)).sum() / (mine | ((truth == c) & known)).sum())
        return np.mean(ious)

    of_best = [miou(classes) for classes in permutations(slots, n_clusters) if right(classes) == most]
    assert any(scores["miou"] == pytest.approx(value) for value in of_best)


def test_a_map_of_the_same_pixels_under_other_numbers_is_right_and_one_class_everywhere_is_its_share():
    truth = np.array([[0, 0, 1], [2, 2, 2]])
    assert class_map_scores(pixel_table(truth, (truth + 1) % 3, 3, 3))["miou"] == 1
    scores = class_map_scores(pixel_table(truth, np.zeros_like(truth), 3, 1))
    assert scores["accuracy"] == 0.5 and scores["miou"] == pytest.approx(0.5 / 3) and scores["iou"][0] == 0
