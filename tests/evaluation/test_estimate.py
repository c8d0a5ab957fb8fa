"""The estimated accuracy: it stays within what was calibrated, and says why where it is not given."""

import json
from pathlib import Path

import numpy as np
import pytest

from selflabel.evaluation.accuracy_models import MODELS, model_of
from selflabel.evaluation.diagnostics import Diagnostics
from selflabel.evaluation.estimate import (
    AccuracyModel,
    RunFacts,
    estimated_accuracy,
    fit_weights,
    no_estimate,
    predicted_log_odds,
    share,
)

MODEL = AccuracyModel(("support", "confidence"), (-1.0, 0.8, 0.7), (0.4, 0.5), 1.0, 0.97, 250, 25)
NAMES = ("agreement", "support", "stability", "neighbours", "confidence")


def diagnostics(value):
    return Diagnostics(**dict.fromkeys(NAMES, value))


@pytest.mark.parametrize("model", [MODEL, *MODELS.values()])
@pytest.mark.parametrize("clusters", [2, 10, 1000])
def test_the_estimate_rises_with_its_indicators_and_is_never_below_chance_nor_above_what_was_calibrated(model, clusters):
    estimates = [estimated_accuracy(diagnostics(x), model, clusters) for x in (0.0, 0.3, 0.6, 0.9, 1.0)]
    values = [e["value"] for e in estimates]
    assert values == sorted(values) and all(1 / clusters - 1e-4 <= e["low"] <= e["value"] <= e["high"] < 1 for e in estimates)
    assert values[-1] <= model.highest


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (RunFacts(np.zeros(600, int), 1, 4), "one cluster is right"),
        (RunFacts(np.zeros(600, int), 3, 4), "one cluster is right"),
        (RunFacts(np.arange(600) % 3, 3, 1), "one head"),
        (RunFacts(np.arange(600) % 3, 3, 4, collapsed=True), "too little"),
        (RunFacts(np.arange(60) % 3, 3, 4), "60 items are too few for 3 clusters; it takes 250"),
        (RunFacts(np.arange(600) % 40, 40, 4), "it takes 1,000"),
        (RunFacts(np.arange(600) % 2, 3, 4), "only 2 of 3"),
        (RunFacts(np.arange(600) % 3, 3, 4, shown=8), "about 8 clusters, and these are 3"),
        (RunFacts(np.arange(600) % 3, 3, 4, epochs=1), "too short, 1 epoch of at least 9"),
        (RunFacts(np.arange(9000) % 3, 3, 4, epochs=2), "at least 3"),
    ],
)
def test_outside_of_what_was_calibrated_there_is_a_reason_instead(facts, words):
    assert words in (no_estimate(diagnostics(0.9), facts, MODEL) or "")


def test_within_it_there_is_none_and_runs_unlike_all_others_are_refused():
    facts = RunFacts(np.arange(600) % 3, 3, 4, epochs=30, shown=4)
    assert no_estimate(diagnostics(0.9), facts, MODEL) is None
    assert "support of 0.10 is lower" in (no_estimate(diagnostics(0.1), facts, MODEL) or "")
    assert "sela-nn only" in (no_estimate(diagnostics(0.9), facts, None) or "")
    assert model_of("sela-nn", True) is not None and model_of("no-method", True) is None


def test_weights_are_found_again_from_the_accuracies_that_they_give():
    indicators = np.random.default_rng(0).uniform(0.1, 0.95, (60, 2))
    accuracies = share(predicted_log_odds((-0.5, 0.6, 0.4), indicators))
    assert fit_weights(indicators, accuracies, np.ones(60)) == pytest.approx([-0.5, 0.6, 0.4], abs=0.05)


def test_the_models_in_use_are_those_that_were_calibrated_and_their_bands_hold():
    groups = json.loads((Path(__file__).parents[2] / "results/estimated-accuracy.json").read_text())["groups"]
    assert {name for name, of in groups.items() if of["has_model"]} == set(MODELS)
    for name, model in MODELS.items():
        assert groups[name]["band"] == model.band and groups[name]["band_holds"] >= 0.85
