"""Exact rounding: integer shares at the least loss, as scipy's optimum."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import dijkstra

from selflabel.assignment import sinkhorn
from selflabel.assignment.rounding import exact_labels, integer_shares, shortest_paths
from tests.assignment.problems import random_scores


@pytest.mark.parametrize(("n", "k", "seed"), [(40, 4, 0), (43, 5, 1), (30, 30, 2)])
def test_exact_rounding_gives_every_label_its_share_at_the_least_loss(n, k, seed):
    scores = random_scores(n, k, seed, 2.0).double()
    labels = sinkhorn(scores, 0.1, tol=0.05, max_iter=2000, rounding="exact").labels
    sizes = torch.bincount(labels, minlength=k)
    assert sizes.max() - sizes.min() <= 1
    rows, columns = linear_sum_assignment(-np.repeat(scores.numpy(), sizes.numpy(), axis=1))
    best = scores.numpy()[rows, np.repeat(np.arange(k), sizes.numpy())[columns]].sum()
    assert float(scores[torch.arange(n), labels].sum()) == pytest.approx(best, abs=1e-4)


def test_unequal_shares_are_met_from_labels_far_from_them():
    scores, r = random_scores(60, 4, 3).double(), np.array([0.5, 0.25, 0.15, 0.1])
    labels = exact_labels(lambda rows: scores[rows], np.zeros(4), r, scores.argmax(dim=1))
    assert torch.bincount(labels).tolist() == [30, 15, 9, 6]
    columns = linear_sum_assignment(-np.repeat(scores.numpy(), [30, 15, 9, 6], axis=1))[1]
    best = scores.numpy()[np.arange(60), np.repeat(np.arange(4), [30, 15, 9, 6])[columns]].sum()
    assert float(scores[torch.arange(60), labels].sum()) == pytest.approx(best)


def test_labels_that_have_their_shares_are_left_as_they_are():
    labels = torch.tensor([1, 0, 1, 0])
    assert torch.equal(exact_labels(lambda rows: torch.zeros(len(rows), 2), np.zeros(2), np.full(2, 0.5), labels), labels)


def test_largest_remainders_are_rounded_up_and_ties_go_to_the_labels_with_most_items():
    assert integer_shares(np.array([0.55, 0.25, 0.2]), np.array([3, 3, 4])).tolist() == [6, 2, 2]
    assert integer_shares(np.full(4, 0.25), np.array([1, 5, 0, 4])).tolist() == [2, 3, 2, 3]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8))
def test_shortest_paths_are_scipys(seed, k):
    costs = np.random.default_rng(seed).uniform(0.1, 1, (k, k))
    np.fill_diagonal(costs, np.inf)
    sources = np.arange(k) < max(1, k // 3)
    distance, previous = shortest_paths(costs, sources)
    expected = dijkstra(np.where(np.isfinite(costs), costs, 0), indices=np.flatnonzero(sources)).min(axis=0)
    assert distance == pytest.approx(expected)
    for b in np.flatnonzero(~sources):
        assert distance[b] == pytest.approx(distance[previous[b]] + costs[previous[b], b])
    assert (previous[sources] == -1).all()
