"""The suite of given features: how its sets are drawn, and what its checks say of made results."""

import numpy as np

from reproduce.feature_sets import DEVELOPMENT, REPORTING, SETS, falling, with_copies
from reproduce.feature_tables import checks, gap, overview


def test_sets_are_in_one_half_and_names_are_not_shared():
    assert {of.half for of in DEVELOPMENT.values()} == {"development"} and {of.half for of in REPORTING.values()} == {"reporting"}
    assert len(SETS) == len(DEVELOPMENT) + len(REPORTING) >= 12


def test_classes_fall_by_the_ratio_and_rows_keep_their_truth():
    y = np.repeat(["a", "b", "c"], 100)
    x = np.stack([np.arange(300), np.unique(y, return_inverse=True)[1]], axis=1)
    found, truth = falling(x, y, 25)
    assert sorted(np.unique(truth, return_counts=True)[1].tolist()) == [4, 20, 100]
    assert (y[found[:, 0]] == truth).all() and len(np.unique(found[:, 0])) == len(found)


def test_every_fifth_row_is_a_shifted_copy_of_a_row_that_is_none():
    x = np.random.default_rng(0).random((50, 784)).astype(np.float32)
    copied, truth = with_copies(x, np.arange(50).astype(str))
    assert (copied[1::5] == x[1::5]).all() and truth[1] == "1"
    for row in range(0, 50, 5):
        original = int(truth[row])
        assert original % 5 and not (copied[row] == x[original]).all()
        assert np.allclose(np.sort(copied[row]), np.sort(x[original]))


def runs(*accuracies, labels=3):
    return [{"seed": s, "accuracy": a, "macro_accuracy": a, "labels": labels} for s, a in enumerate(accuracies)]


def test_checks_count_sets_and_name_those_that_fall_short():
    level = {"classes": 3, "uneven": False, "methods": {"sela-nn": runs(0.9, 0.91), "kmeans": runs(0.905)}}
    behind = {"classes": 3, "uneven": True, "methods": {"sela-nn": runs(0.7, 0.6), "agglomerative, average": runs(0.8)}}
    unknown = {"sela-nn, K unknown": runs(0.5, labels=3)}
    sets = {"level": level, "behind": behind, "found": level | {"methods": level["methods"] | unknown, "numbers": {}}}
    assert gap(behind, "sela-nn")[0] > 0.14 and gap(level, "sela-nn")[0] < 0.001
    found = checks(sets)
    assert "behind on behind by 0.150" in found and "furthest on behind: 0.050" in found
    assert "behind: agglomerative, average by 0.150 accuracy" in found and "sela-nn, K unknown: 100% and 100% of 1 sets" in found
    assert "**0.905** | " in overview({"level": level}) and checks({}) == "sela-nn was not measured on this half."
