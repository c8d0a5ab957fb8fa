"""However scores are read, the answer is plain alternation's within the tolerance."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from selflabel.assignment import plan, sinkhorn
from selflabel.assignment.dual import Problem
from selflabel.assignment.passes import run_concurrently
from selflabel.assignment.reducer import Reducer
from selflabel.assignment.reference import sinkhorn_reference
from selflabel.assignment.scores import SharedFeatures
from selflabel.assignment.solve import Solve
from tests.assignment.problems import clustered_scores, masses, random_scores


@cache
def reference_plan(scale):
    return sinkhorn_reference(clustered_scores(scale=scale).product(), 1 / 10, tol=1e-6, max_iter=4000)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2.0, 8.0, 20.0])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("memory", [None, 0])
def test_every_way_of_reading_ends_at_the_plan_of_the_reference(compiled, scale, linear, memory):
    source = clustered_scores(scale=scale)
    scores = source if linear else source.product()
    a = sinkhorn(scores, 1 / 10, tol=1e-3, memory=memory)
    assert a.converged
    assert np.abs(masses(source, a) * 40 - 1).max() < 2e-3
    assert float((plan(source, a) - reference_plan(scale)).abs().mean()) < 2e-4


def solve_for(source, epsilon=0.1, tol=1e-2, max_iter=1000):
    K = source.shape[1]
    problem = Problem(np.full(K, -math.log(K)), epsilon)
    return Solve(source, problem, tol, max_iter, Reducer(), SharedFeatures(), 1 << 30)


def test_the_error_is_that_of_the_labels_masses_on_all_scores(compiled):
    source = clustered_scores(n=20_000, k=30, scale=10.0)
    a = sinkhorn(source, 0.05)
    soft = torch.softmax((source.product().double() + a.potentials) / 0.05, dim=1)
    assert a.error == pytest.approx(float((soft.mean(dim=0) * 30 - 1).abs().max()), abs=1e-4)
    assert torch.equal(a.labels, soft.argmax(dim=1)) or (a.labels == soft.argmax(dim=1)).float().mean() > 0.9999


def test_a_cold_start_on_many_items_begins_with_falling_epsilons_on_a_subsample():
    solve = solve_for(clustered_scores(n=20_000, k=20, scale=20.0))
    (a,) = run_concurrently([solve.run(None, None, "argmax")])
    assert a.converged and len(solve.histories) > 1 and min(solve.histories) == 0.1
    assert all(b / a == pytest.approx(4) for a, b in zip(sorted(solve.histories), sorted(solve.histories)[1:]))
    warm = solve_for(clustered_scores(n=20_000, k=20, scale=20.0))
    (b,) = run_concurrently([warm.run(None, a.potentials, "argmax")])
    assert list(warm.histories) == [0.1] and b.n_passes <= a.n_passes


def test_subsamples_grow_by_a_factor_of_four_until_all_items_take_part(monkeypatch):
    solve, sizes = solve_for(clustered_scores(n=80_000, k=20)), []
    stage = solve.stage

    def record(source, epsilon, v, tol, n_direct=0):
        sizes.append(source.shape[0])
        return stage(source, epsilon, v, tol, n_direct)

    monkeypatch.setattr(solve, "stage", record)
    (a,) = run_concurrently([solve.run(None, None, "argmax")])
    assert a.converged and list(dict.fromkeys(sizes)) == [5_000, 20_000, 80_000]


def test_where_a_store_is_too_coarse_the_search_ends_on_the_scores_themselves():
    source = clustered_scores(n=3_000, k=20)
    source.bias[3] -= 1e5  # 16 bits over this range are steps of 1.5, at an epsilon of 0.1
    a = sinkhorn(source, 0.1)
    assert a.converged and np.abs(masses(source, a) * 20 - 1).max() < 0.05


def test_free_masses_need_one_pass_and_no_iteration():
    scores = random_scores(50, 4)
    (a,) = run_concurrently([solve_for(scores).run(1.0, torch.ones(4), "argmax")])
    assert torch.equal(a.labels, scores.argmax(dim=1))
    assert (a.n_iter, a.n_passes, a.error, a.converged) == (0, 1, 0.0, True) and not a.potentials.any()


def test_exact_rounding_is_applied_to_the_labels():
    (a,) = run_concurrently([solve_for(random_scores(30, 3, scale=3.0), tol=0.5).run(None, None, "exact")])
    assert torch.bincount(a.labels).tolist() == [10, 10, 10]


def test_iterations_are_limited_over_all_stages():
    solve = solve_for(clustered_scores(n=20_000, k=20, scale=20.0), tol=1e-9, max_iter=7)
    (a,) = run_concurrently([solve.run(None, None, "argmax")])
    assert a.n_iter == 7 and not a.converged
