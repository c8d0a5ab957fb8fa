"""`--mass` means the same in every method, and is reported in words with the number beside."""

import pytest
import torch

from selflabel.assignment import sinkhorn
from selflabel.assignment.marginals import TITLES, target_shares
from selflabel.assignment.mass import RELAXED, Mass, resolve_mass
from tests.assignment.problems import random_scores


@pytest.mark.parametrize(
    ("option", "default", "mass"),
    [
        ("auto", "uniform", Mass("uniform")),
        ("auto", "gaussian", Mass("gaussian")),
        ("relaxed", "gaussian", Mass("uniform", RELAXED)),
        ("estimated", "gaussian", Mass("estimated")),
        ("zipf", "uniform", Mass("zipf")),
    ],
)
def test_the_option_means_shares_and_a_relaxation(option, default, mass):
    assert resolve_mass(option, default) == mass


@pytest.mark.parametrize("name", TITLES)
def test_shares_are_those_of_the_name_for_these_scores(name):
    scores = random_scores(60, 5)
    assert torch.equal(Mass(name).shares(scores, 0.2, 4), target_shares(name, scores, 0.2, 4))


def test_cluster_sizes_are_described_in_words():
    described = [Mass("uniform", relax).describe() for relax in (0.0, 0.02, 0.3, 0.6, 1.0)]
    assert described == ["equal", "nearly equal", "partly free, from equal", "free", "free"]
    assert Mass("gaussian").describe() == "Gaussian around equal" and all(Mass(name).describe() for name in TITLES)


def test_a_report_has_the_words_the_number_and_the_error_of_the_solve():
    a = sinkhorn(random_scores(60, 5), 0.2)
    expected = {"mass": "free", "relaxation": 0.6, "mass_error": a.error, "converged": True}
    assert Mass("uniform", 0.6).notes(a) == expected
