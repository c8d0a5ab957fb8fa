import json
from pathlib import Path

import numpy as np
import pytest

from selflabel.evaluation.diagnostics import (
    CONFIDENCE_SLOPES,
    STABILITY_EXPONENTS,
    Diagnostics,
    accuracy_from_confidence,
    accuracy_from_stability,
    diagnose,
    estimated_accuracy,
    fit_constants,
    histogram,
)
from selflabel.evaluation.metrics import mean_pairwise_nmi

NAMES = ("agreement", "support", "stability", "neighbours", "confidence")


def diagnostics(**values):
    return Diagnostics(**dict.fromkeys(NAMES, 1.0) | values)


def test_diagnostics_are_one_for_heads_that_agree_and_fall_when_they_do_not():
    labels = np.arange(100) % 4
    near = np.stack([(np.arange(100) + 4 * j) % 100 for j in (1, 2)], axis=1)
    good = diagnose([labels, (labels + 1) % 4], 0, labels, near, np.ones(100))
    assert good.agreement == good.support == good.stability == good.neighbours == good.confidence == 1.0
    bad = diagnose([labels, np.arange(100) // 25], 0, np.roll(labels, 1), near + 1 - 100 * (near == 99), np.full(100, 0.5))
    assert bad.agreement < 0.2 and bad.support < 0.5 and bad.stability == 0 and bad.neighbours < 0.1 and bad.confidence == 0.5
    assert mean_pairwise_nmi([labels]) == 1.0
    assert sum(histogram(np.linspace(0, 1, 50))) == 50


def test_one_head_supports_itself():
    labels = np.arange(10) % 2
    one = diagnose([labels], 0, labels, np.arange(10)[:, None], np.ones(10))
    assert one.agreement == one.support == 1.0


def test_the_histogram_has_twenty_bins_and_takes_rounding_beyond_one():
    counts = histogram(np.array([0.0, 0.04, 0.06, 1.0, 1.0000001]))
    assert len(counts) == 20 and counts[0] == 2 and counts[1] == 1 and counts[-1] == 2


def test_the_estimate_falls_with_support_and_with_what_is_informative_for_the_kind_of_items():
    for has_views, informative, unused in ((True, "stability", "confidence"), (False, "confidence", "stability")):
        best = estimated_accuracy(diagnostics(), has_views)
        assert best["value"] == best["high"] == 1.0 > best["low"]
        lower = [diagnostics(**{informative: x, "support": x}) for x in (0.9, 0.6, 0.3, 0.0)]
        values = [estimated_accuracy(d, has_views)["value"] for d in lower]
        assert values == sorted(values, reverse=True) and values[0] < 1 and values[-1] == 0
        assert estimated_accuracy(diagnostics(**{unused: 0.5}), has_views) == best


def test_the_estimates_constants_are_those_that_were_fitted():
    fitted = json.loads((Path(__file__).parents[2] / "results/estimated-accuracy.json").read_text())["constants"]
    assert pytest.approx(fitted["of support and stability"], abs=0.006) == STABILITY_EXPONENTS
    assert pytest.approx(fitted["of features"], abs=0.0006) == CONFIDENCE_SLOPES


@pytest.mark.parametrize(
    "estimate, constants, prior",
    [(accuracy_from_stability, (0.6, 1.4), (0.5, 1.0)), (accuracy_from_confidence, (0.5, 1.6), (0.3, 2.0))],
)
def test_constants_are_found_again_from_the_accuracies_that_they_give(estimate, constants, prior):
    rng = np.random.default_rng(0)
    runs = [diagnostics(**dict(zip(NAMES, rng.uniform(0.4, 1, 5)))) for _ in range(60)]
    accuracies = np.array([estimate(d, np.array(constants)) for d in runs])
    assert fit_constants(estimate, prior, runs, accuracies, np.ones(60)) == pytest.approx(constants, abs=0.02)
