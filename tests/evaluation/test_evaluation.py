import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from selflabel.evaluation.diagnostics import CONSTANTS, POWERS, Signs, estimated_accuracy, histogram, signs_of
from selflabel.evaluation.metrics import accuracy, mean_pairwise_nmi, nmi, score
from selflabel.evaluation.sheet import contact_sheet


def test_nmi_equals_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 5, 200), rng.integers(0, 7, 200)
        assert nmi(a, b) == pytest.approx(normalized_mutual_info_score(a, b), abs=1e-9)
    assert nmi([0, 0], [1, 1]) == 1.0


def test_accuracy_is_of_the_best_matching_and_copes_with_other_numbers_of_labels():
    truth = np.array(list("aabbcc"))
    assert accuracy(truth, [2, 2, 0, 0, 1, 1]) == 1.0
    assert accuracy(truth, [0, 0, 0, 0, 1, 1]) == pytest.approx(4 / 6)
    assert accuracy(truth, [0, 1, 2, 3, 4, 5]) == pytest.approx(3 / 6)


def test_score_has_the_agreed_names_and_none_without_truth():
    names = ["n_items", "n_clusters", "accuracy", "nmi", "ami", "ari", "mean_entropy", "mean_max_purity"]
    found = score(["a", "a", "b", "b"], [0, 0, 1, 1])
    assert list(found) == names and found["accuracy"] == found["mean_max_purity"] == 1.0 and found["mean_entropy"] == 0.0
    assert list(score(None, [0, 1]).values()) == [2, 2] + [None] * 6
    mixed = score(["a", "b", "b", "b"], [0, 0, 1, 1])
    assert mixed["mean_entropy"] == pytest.approx(np.log(2) / 2) and mixed["mean_max_purity"] == 0.75


def test_signs_are_one_for_heads_that_agree_and_fall_when_they_do_not():
    labels = np.arange(100) % 4
    near = np.stack([(np.arange(100) + 4 * j) % 100 for j in (1, 2)], axis=1)
    good = signs_of([labels, (labels + 1) % 4], 0, labels, near, np.ones(100))
    assert good.agreement == good.support == good.stability == good.neighbours == good.confidence == 1.0
    bad = signs_of([labels, np.arange(100) // 25], 0, np.roll(labels, 1), near + 1 - 100 * (near == 99), np.full(100, 0.5))
    assert bad.agreement < 0.2 and bad.support < 0.5 and bad.stability == 0 and bad.neighbours < 0.1
    assert mean_pairwise_nmi([labels]) == 1.0
    assert sum(histogram(np.linspace(0, 1, 50))) == 50


def test_the_estimate_falls_with_support_and_with_what_tells_of_the_kind_of_items():
    def estimate(shown, **less):
        return estimated_accuracy(
            Signs(**dict.fromkeys(("agreement", "support", "stability", "neighbours", "confidence"), 1.0) | less), shown
        )

    for shown, telling, silent in ((True, "stability", "confidence"), (False, "confidence", "stability")):
        assert estimate(shown)["value"] == estimate(shown)["high"] == 1.0 > estimate(shown)["low"]
        values = [estimate(shown, **{telling: x, "support": x})["value"] for x in (0.9, 0.6, 0.3, 0.0)]
        assert values == sorted(values, reverse=True) and values[0] < 1 and values[-1] == 0
        assert estimate(shown, **{silent: 0.5}) == estimate(shown)


def test_the_estimates_constants_are_those_that_were_fitted():
    fitted = json.loads((Path(__file__).parents[2] / "results/estimated-accuracy.json").read_text())["constants"]
    assert pytest.approx(fitted["of support and stability"], abs=0.006) == POWERS
    assert pytest.approx(fitted["of features"], abs=0.0006) == CONSTANTS


def test_the_contact_sheet_has_a_row_a_cluster_with_its_surest_first():
    labels, confidence = np.array([0, 0, 1]), np.array([0.2, 0.9, 0.5])
    pictures = [np.full((8, 8), v, np.uint8) for v in (10, 120, 240)]
    sheet = np.asarray(contact_sheet(labels, confidence, lambda i: pictures[i], across=2))
    assert sheet[20, 80, 0] == 120 and sheet[20, 130, 0] == 10 and sheet[70, 80, 0] == 240
