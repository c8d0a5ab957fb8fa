"""When a labelling is a collapse, and when its accuracy is not estimated."""

import numpy as np
import pytest

from selflabel.evaluation.collapse import are_equal, is_collapsed


def nearest(features, k=10):
    squares = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    return squares.argsort(axis=1)[:, :k]


def groups(sizes, seed=0):
    """Labels and neighbours of groups far apart."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    features = 20 * np.eye(len(sizes), 8)[labels] + np.random.default_rng(seed).normal(size=(len(labels), 8))
    return labels, nearest(features)


@pytest.mark.parametrize("K", [2, 3, 5, 10, 128])
def test_one_label_for_all_is_a_collapse_at_every_k(K):
    _, near = groups([60])
    assert is_collapsed(np.zeros(60, int), K, near)


@pytest.mark.parametrize("K", [2, 3, 5, 10, 128])
def test_a_few_items_that_strayed_do_not_hide_a_collapse(K):
    """Labels of a single cloud, of which a few items have other labels than all their neighbours."""
    _, near = groups([200])
    labels = np.zeros(200, int)
    labels[[3, 50, 100, 180]] = np.arange(4) % (K - 1) + 1
    assert is_collapsed(labels, K, near)


@pytest.mark.parametrize(
    ("sizes", "K"),
    [
        ([180, 20], 2),
        ([95, 5], 2),
        ([196, 4], 2),
        ([60, 60], 10),
        ([90, 10], 10),
        ([200, 50, 25, 12, 6], 5),
        ([300, *[5] * 7], 8),
    ],
)
def test_uneven_groups_are_no_collapse(sizes, K):
    labels, near = groups(sizes)
    assert not is_collapsed(labels, K, near)


def test_nearly_all_in_one_of_many_labels_is_a_collapse():
    labels, near = groups([195, 5])
    assert is_collapsed(labels, 10, near) and not is_collapsed(labels, 2, near)


def test_equal_features_are_known_up_to_rounding():
    x = np.random.default_rng(0).normal(size=(1, 16)).repeat(50, axis=0).astype(np.float32)
    assert are_equal(x) and are_equal(x.astype(np.float16)) and are_equal(np.zeros((4, 3), np.float32))
    assert not are_equal(x + 0.01 * np.arange(50, dtype=np.float32)[:, None])
