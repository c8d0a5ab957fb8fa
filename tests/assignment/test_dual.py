"""The dual: its gradient, its steps, and that it never falls."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment.dual import (
    HISTORY_PAIRS,
    OBJECTIVE_NOISE,
    History,
    Problem,
    lbfgs_direction,
    line_search,
    maximise,
    point_at,
)
from selflabel.assignment.evaluator import DualEvaluator
from selflabel.assignment.passes import run_concurrently
from selflabel.assignment.reducer import DualTerms, Reducer
from selflabel.assignment.stores import Workspace
from tests.assignment.problems import random_scores


def problem_of(K, relax=0.0, epsilon=0.1):
    return Problem(np.full(K, -math.log(K)), epsilon, math.inf if relax == 0 else epsilon * (1 - relax) / relax)


def point(problem, scores, v):
    x = (scores.double() + torch.from_numpy(v)) / problem.epsilon
    terms = DualTerms(torch.softmax(x, dim=1).mean(dim=0).numpy(), float(torch.logsumexp(x, dim=1).mean()))
    return point_at(problem, terms, v)


def exactly(function, *args):
    """Run a generator that requests no passes."""
    return run_concurrently([function(*args)])[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 3.0, 15.0]), st.sampled_from([0.0, 0.4]))
def test_the_dual_never_falls_on_the_way(seed, scale, relax):
    source = random_scores(400, 12, seed, scale)
    problem, history, objectives = problem_of(12, relax), History(), []
    exact = DualEvaluator(source, problem.epsilon, 1e-4, Reducer(), Workspace(0), n_direct=math.inf)

    def search():
        here = point_at(problem, (yield from exact.evaluate(np.zeros(12))), np.zeros(12))
        objectives.append(here.objective)
        for _ in range(12):  # a few steps at a time, on a history that goes on
            here, n_iter = yield from maximise(exact.evaluate, problem, here, 1e-3, 5, history)
            objectives.append(here.objective)
            if n_iter == 0:
                break

    run_concurrently([search()])
    assert len(objectives) > 1
    assert all(b >= a - 5 * OBJECTIVE_NOISE * max(1, abs(a)) for a, b in pairwise(objectives))


@pytest.mark.parametrize("relax", [0.0, 0.4])
def test_the_gradient_is_that_of_the_objective(relax):
    problem, scores, v = problem_of(5, relax), random_scores(100, 5), np.linspace(-0.2, 0.3, 5)
    here, step = point(problem, scores, v), 1e-6
    for k in range(5):
        there = point(problem, scores, v + step * problem.epsilon * np.eye(5)[k])
        assert (there.objective - here.objective) / step == pytest.approx(here.gradient[k], abs=1e-4)


@pytest.mark.parametrize("relax", [0.0, 0.4])
def test_plain_steps_lead_to_masses_on_target(relax):
    problem, scores, v = problem_of(5, relax), random_scores(100, 5), np.zeros(5)
    for _ in range(200):
        v = v + problem.epsilon * problem.plain_step(point(problem, scores, v))
    assert point(problem, scores, v).error < 1e-3
    assert point(problem, scores, np.zeros(5)).error > 0.1


def test_a_label_without_mass_does_not_make_the_error_infinite():
    here = point_at(problem_of(2), DualTerms(np.array([1.0, 0.0]), 0.0), np.zeros(2))
    assert here.error == 1 and np.isfinite(here.mass).all() and here.mass.min() > 0


def test_the_history_keeps_the_newest_pairs_that_show_curvature():
    history = History()
    for i in range(HISTORY_PAIRS + 5):
        history.add(np.full(2, float(i)), np.ones(2))
    history.add(np.ones(2), -np.ones(2))
    assert len(history.steps) == len(history.changes) == HISTORY_PAIRS and history.steps[-1][0] == HISTORY_PAIRS + 4
    history.clear()
    assert not history.steps and not history.changes


def test_the_quasi_newton_step_is_newtons_where_the_history_spans_everything():
    """On a quadratic with Hessian -H, L-BFGS with as many conjugate pairs as dimensions gives H^-1 times the gradient."""
    problem, K = problem_of(4, relax=0.4), 4
    A = np.random.default_rng(0).normal(size=(K, K))
    H = A @ A.T + np.eye(K)
    history = History()
    for s in np.linalg.eigh(H)[1].T:
        history.add(s, H @ s)
    here = point(problem, random_scores(50, K), np.zeros(K))
    assert lbfgs_direction(here, history, problem) == pytest.approx(np.linalg.solve(H, here.gradient), rel=1e-6, abs=1e-9)


def test_with_fixed_masses_a_step_has_no_common_part():
    history = History()
    history.add(np.array([1.0, 0.0, 0.0]), np.array([0.5, -0.2, -0.3]))
    here = point(problem_of(3), random_scores(50, 3), np.zeros(3))
    assert lbfgs_direction(here, history, problem_of(3)).sum() == pytest.approx(0, abs=1e-12)


def test_a_step_is_shortened_until_the_objective_increases_and_a_wrong_one_is_refused():
    problem, scores = problem_of(5), random_scores(100, 5)
    here = point(problem, scores, np.zeros(5))
    lengths = []

    def look(v):
        lengths.append(float(np.abs(v).max()) / problem.epsilon)
        return point(problem, scores, v)
        yield

    there, tried = exactly(line_search, look, here, 1000 * here.gradient, problem, 10)
    assert there is not None and there.objective > here.objective and tried == len(lengths) > 1
    assert lengths[0] == pytest.approx(8) and all(b / a == pytest.approx(0.4) for a, b in pairwise(lengths))
    assert exactly(line_search, look, here, -here.gradient, problem, 10) == (None, 0)
    assert exactly(line_search, look, here, 1000 * here.gradient, problem, 1) == (None, 1)
