"""Probes on features whose answer is known."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.evaluation.linear import SCHEDULES
from selflabel.evaluation.probes import (
    Fold,
    few_shot_accuracy,
    group_folds,
    knn_predict,
    logistic_regression_accuracy,
    mean_of_dicts,
    nearest,
    normalise_rows,
    probe,
)

rng = np.random.default_rng(0)


def blobs(n=120, k=4, d=16, noise=0.4):
    y = np.arange(n) % k
    centres = normalise_rows(rng.standard_normal((k, d)).astype(np.float32))
    return (centres[y] + noise / d**0.5 * rng.standard_normal((n, d))).astype(np.float32), [f"c{c}" for c in y]


def test_separate_classes_are_found_by_every_probe_and_noise_by_none():
    x, y = blobs()
    good = probe(x, y)
    assert min(good["knn"], good["linear"], good["few"]["10"], good["recall"]["1"]) > 0.95
    noise = probe(rng.standard_normal((120, 16)), y)
    assert noise["knn"] < 0.45 and noise["linear"] < 0.45
    assert noise["recall"]["1"] < noise["recall"]["5"] < noise["recall"]["20"]


def test_items_of_one_group_are_never_on_both_sides():
    """Takes that are alike in all but the class: whoever sees a take's twin knows its class, whoever does not guesses."""
    takes = rng.standard_normal((40, 8)).repeat(5, axis=0) + 1e-3 * rng.standard_normal((200, 8))
    y, groups = [f"c{t % 2}" for t in range(40) for _ in range(5)], [f"t{t}" for t in range(40) for _ in range(5)]
    assert probe(takes, y)["knn"] > 0.95
    assert probe(takes, y, groups)["knn"] < 0.75
    for fit, held in group_folds(np.array([t % 2 for t in range(40) for _ in range(5)]), groups, 0):
        assert not {groups[i] for i in fit} & {groups[i] for i in held}


def test_votes_equal_the_plain_formula():
    x, y = blobs(60, noise=2.0)
    classes = np.unique(y, return_inverse=True)[1]
    similarity, near = nearest(normalise_rows(x[:40]), normalise_rows(x[40:]), 10)
    for i, prediction in enumerate(knn_predict(similarity, classes[:40][near], 4)):
        votes = [sum(np.exp(s / 0.1) for s, j in zip(similarity[i], near[i]) if classes[j] == c) for c in range(4)]
        assert prediction == int(np.argmax(votes))


def test_one_class_or_one_group_is_a_sentence():
    x, y = blobs()
    for classes, groups in ((["a"] * 120, None), (y, ["g"] * 120)):
        with pytest.raises(UserError, match="two classes and two groups"):
            probe(x, classes, groups)


def test_classes_of_few_items_get_fewer_folds():
    x, _ = blobs(6)
    assert probe(x, ["a", "a", "a", "b", "b", "b"])["folds"] == 3
    assert probe(x, ["a", "a", "b", "b", "c", "c"])["folds"] == 2
    with pytest.raises(UserError, match="two groups"):
        probe(x, list("abcdef"))


def test_the_papers_schedules_and_neighbours_find_classes_and_no_more_than_chance_in_noise():
    x, y = blobs()
    good = probe(x, y, papers=True)
    assert good["knn by k and sigma"]["10, 0.1"] == good["knn"] > 0.95
    assert set(good["linear by schedule"]) == set(SCHEDULES) and min(good["linear by schedule"].values()) > 0.95
    noise = probe(rng.standard_normal((120, 16)), y, papers=True)
    assert max(noise["linear by schedule"].values()) < 0.45


def test_a_probe_that_is_trained_on_one_class_predicts_it():
    x = rng.standard_normal((8, 3)).astype(np.float32)
    fold = Fold(x[:4], np.full(4, 2), x[4:], np.array([2, 2, 0, 2]))
    assert logistic_regression_accuracy(fold) == 0.75


def test_few_labels_are_as_many_as_asked_for_and_one_of_each_far_class_is_enough():
    x, y = blobs(noise=0.01)
    classes = np.unique(y, return_inverse=True)[1]
    fold = Fold(x[:60], classes[:60], x[60:], classes[60:])
    assert few_shot_accuracy(fold, 1, seed=0) == few_shot_accuracy(fold, 1000, seed=0) == 1.0
    mixed = Fold(rng.standard_normal((60, 3)), classes[:60], x[60:, :3], classes[60:])
    assert few_shot_accuracy(mixed, 1, seed=0) < 0.6


def test_nested_numbers_are_averaged_key_by_key():
    assert mean_of_dicts([{"a": 1, "b": {"c": 0.0}}, {"a": 2, "b": {"c": 0.33333}}]) == {"a": 1.5, "b": {"c": 0.1667}}


def test_zero_rows_stay_zero_when_rows_are_normalised():
    assert normalise_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]
