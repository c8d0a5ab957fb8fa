"""Probes on features whose answer is known."""

import numpy as np
import pytest

from selflabel.base.errors import UserError
from selflabel.evaluation.linear import SCHEDULES, linear_accuracy
from selflabel.evaluation.probes import knn, nearest, probe, split, unit
from selflabel.evaluation.purity import drawn, purities

rng = np.random.default_rng(0)


def blobs(n=120, k=4, d=16, noise=0.4):
    y = np.arange(n) % k
    centres = unit(rng.standard_normal((k, d)).astype(np.float32))
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
    for fit, held in split(np.array([t % 2 for t in range(40) for _ in range(5)]), groups, 0):
        assert not {groups[i] for i in fit} & {groups[i] for i in held}


def test_votes_equal_the_plain_formula():
    x, y = blobs(60, noise=2.0)
    classes = np.unique(y, return_inverse=True)[1]
    similarity, near = nearest(unit(x[:40]), unit(x[40:]), 10)
    for i, found in enumerate(knn(similarity, classes[:40][near], 4)):
        votes = [sum(np.exp(s / 0.1) for s, j in zip(similarity[i], near[i]) if classes[j] == c) for c in range(4)]
        assert found == int(np.argmax(votes))


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


def test_purity_and_entropy_of_known_clusters_and_their_picture(tmp_path):
    truth, labels = ["a"] * 4 + ["b"] * 4, [0, 0, 0, 0, 1, 1, 2, 2]
    pure, mixed = purities(truth, labels)
    assert np.allclose(pure, 1) and np.allclose(mixed, 0)
    pure, mixed = purities(truth, [0] * 8)
    assert pure[0] == 0.5 and mixed[0] == pytest.approx(np.log(2))
    drawn(truth, labels).savefig(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_the_papers_schedules_and_neighbours_find_classes_and_no_more_than_chance_in_noise():
    x, y = blobs()
    good = probe(x, y, papers=True)
    assert good["knn by k and sigma"]["10, 0.1"] == good["knn"] > 0.95
    assert set(good["linear by schedule"]) == set(SCHEDULES) and min(good["linear by schedule"].values()) > 0.95
    noise = probe(rng.standard_normal((120, 16)), y, papers=True)
    assert max(noise["linear by schedule"].values()) < 0.45


def test_a_schedules_batch_norm_makes_it_indifferent_to_the_features_scale():
    x, y = blobs(noise=2.0)
    classes = np.unique(y, return_inverse=True)[1]
    plain, large = (
        linear_accuracy(s * x[:80], classes[:80], s * x[80:], classes[80:], SCHEDULES["sela-alexnet"]) for s in (1.0, 1e3)
    )
    assert plain == pytest.approx(large, abs=0.05)
