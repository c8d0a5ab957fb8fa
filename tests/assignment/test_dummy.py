"""The dummy column takes exactly its share of the mass, whatever holds the other labels, and however the scores are read."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment import LinearScores, plan, sinkhorn
from selflabel.assignment.passes import Pass, run_passes
from selflabel.assignment.reference import sinkhorn_reference
from selflabel.assignment.scores import BLOCK_ENTRIES, as_source, select_rows
from selflabel.assignment.stores import DenseStore, PackedStore, SparseStore
from tests.assignment.problems import clustered_scores, random_scores


def column(n, seed=9):
    return random_scores(n, 1, seed, scale=2.0)[:, 0]


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.integers(2, 60), st.integers(1, 8), st.integers(0, 10_000), st.sampled_from([0.3, 2.0])),
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.sampled_from([0.02, 0.1, 0.6]),
    st.booleans(),
)
def test_the_plan_with_a_dummy_is_that_of_the_plain_formula(shape, relax, share, uneven):
    scores, dummy = random_scores(*shape), column(shape[0])
    mass = torch.arange(1, shape[1] + 1).double() / (shape[1] * (shape[1] + 1) / 2) if uneven else None
    expected = sinkhorn_reference(scores, 0.5, mass, relax, dummy=dummy, dummy_mass=share)
    a = sinkhorn(scores, 0.5, mass, relax, tol=1e-5, max_iter=20_000, dummy=dummy, dummy_mass=share)
    assert a.converged
    assert (plan(scores, a, dummy).double() - expected).abs().max() < 1e-3
    assert abs(float(expected[:, -1].mean()) - share) < 1e-6


@pytest.mark.parametrize("kind", [LinearScores, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("relax", [0.0, 0.6, 1.0])
def test_the_mass_is_exact_for_every_kind_of_scores(kind, relax, compiled):
    source = clustered_scores()
    scores = source if kind is LinearScores else source.product().to(kind)
    dummy, tol = column(6_000), 5e-3
    a = sinkhorn(scores, 1 / 10, relax=relax, tol=tol, dummy=dummy, dummy_mass=0.1)
    assert a.converged and abs(float(plan(scores, a, dummy)[:, -1].mean()) / 0.1 - 1) < 1.5 * tol
    assert a.potentials.shape == (41,) and int(a.labels.min()) == -1 and int(a.labels.max()) < 40


@pytest.mark.parametrize(
    ("kind", "epsilon", "tol"), [(DenseStore, 1.0, 1e-2), (SparseStore, 1 / 200, 1e-3), (PackedStore, 1 / 50, 1e-2)]
)
def test_every_store_holds_the_dummy(kind, epsilon, tol, compiled, store_kinds):
    source, dummy = clustered_scores(scale=8.0), column(6_000)
    scores = source.product() if kind is DenseStore else source
    a = sinkhorn(scores, epsilon, relax=0.5, tol=tol, dummy=dummy, dummy_mass=0.2)
    assert kind in store_kinds
    assert abs(float(plan(scores, a, dummy)[:, -1].mean()) / 0.2 - 1) < 1.5 * tol


def test_scores_and_dummy_far_from_zero_keep_their_difference():
    scores, dummy = random_scores(300, 5).double(), column(300).double()
    a, b = (sinkhorn(scores + c, 0.2, tol=1e-4, dummy=dummy + c, dummy_mass=0.1) for c in (0, 1e6))
    assert torch.equal(a.labels, b.labels)


def test_blocks_and_rows_of_the_wider_matrix_are_those_of_the_whole():
    n = BLOCK_ENTRIES // 4 + 5  # two blocks
    source, blocks = as_source(torch.zeros(n, 4), torch.arange(n).float()), []
    run_passes([Pass(source, lambda rows, block: blocks.append(block))])
    assert len(blocks) == 2 and torch.equal(torch.cat(blocks)[:, 4], torch.arange(n).float())
    assert torch.equal(select_rows(source, torch.tensor([7, n - 1]))[:, 4], torch.tensor([7.0, n - 1]))


def test_free_labels_keep_their_argmax_and_the_least_fitting_items_go_to_the_dummy():
    scores, dummy = random_scores(500, 6), torch.zeros(500)
    a = sinkhorn(scores, 0.01, relax=1.0, tol=1e-4, dummy=dummy, dummy_mass=0.1)
    fits = a.labels >= 0
    assert torch.equal(a.labels[fits], scores.argmax(dim=1)[fits])
    assert float(scores.amax(dim=1)[~fits].max()) <= float(scores.amax(dim=1)[fits].min())


def test_exact_rounding_gives_the_dummy_its_whole_number_of_items():
    a = sinkhorn(random_scores(100, 4), 0.1, rounding="exact", dummy=column(100), dummy_mass=0.12)
    assert np.bincount(a.labels.numpy() + 1).tolist() == [12, 22, 22, 22, 22]


def test_heads_with_a_dummy_each_are_solved_as_alone():
    source, dummies = clustered_scores(n=900), [column(900, seed) for seed in (1, 2)]
    together = sinkhorn([source, source], 1 / 10, relax=0.3, tol=1e-3, dummy=dummies, dummy_mass=0.1)
    for a, dummy in zip(together, dummies):
        alone = sinkhorn(source, 1 / 10, relax=0.3, tol=1e-3, dummy=dummy, dummy_mass=0.1)
        assert torch.equal(a.labels, alone.labels)


@pytest.mark.parametrize(
    ("dummy", "share", "words"),
    [
        (torch.zeros(3), 0.1, "one score for each"),
        (torch.zeros(9), 0.0, "between 0 and 1"),
        (torch.full((9,), torch.nan), 0.1, "NaN"),
    ],
)
def test_a_dummy_that_does_not_fit_is_refused(dummy, share, words):
    with pytest.raises(ValueError, match=words):
        sinkhorn(torch.zeros(9, 2), dummy=dummy, dummy_mass=share)
