"""The reference solver equals the papers' formulas, and the fast solver equals the reference."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment import plan, sinkhorn
from selflabel.assignment.reference import sinkhorn_reference
from tests.assignment.problems import random_scores


def scale_rows_and_columns(scores, lamb, mass, n_iter):
    """SeLa's recursion as it stands in section 3.1, on P ** lambda itself, in float64."""
    kernel = torch.softmax(scores.double(), dim=1).numpy() ** lamb
    n, alpha = len(kernel), np.ones(kernel.shape[1])
    for _ in range(n_iter):
        beta = (1 / n) / (kernel @ alpha)
        alpha = mass / (kernel.T @ beta)
    beta = (1 / n) / (kernel @ alpha)
    return n * beta[:, None] * kernel * alpha[None, :]


def relaxed_objective(scores, plan, epsilon, mass, strength):
    """Mean score + epsilon * entropy - strength * KL(label masses || mass), of plan rows."""
    scores = np.asarray(scores, np.float64)
    q = np.clip(plan, 1e-300, None)
    got = plan.mean(axis=0)
    kl = (got * np.log(np.clip(got, 1e-300, None) / mass)).sum()
    return (plan * scores).sum(axis=1).mean() - epsilon * (plan * np.log(q)).sum(axis=1).mean() - strength * kl


@pytest.mark.parametrize("lamb", [1.0, 10.0, 25.0])
@pytest.mark.parametrize("n_iter", [1, 3, 100])
def test_the_reference_equals_the_recursion_of_the_paper(lamb, n_iter):
    scores, mass = random_scores(80, 6, seed=1, scale=3.0), np.arange(1, 7) / 21
    expected = scale_rows_and_columns(scores, lamb, mass, n_iter)
    assert np.abs(sinkhorn_reference(scores, 1 / lamb, mass, tol=0, max_iter=n_iter).numpy() - expected).max() < 1e-9


def test_the_reference_with_free_masses_is_a_softmax():
    scores = random_scores(30, 4)
    assert torch.allclose(sinkhorn_reference(scores, 0.3, relax=1.0), torch.softmax(scores.double() / 0.3, dim=1))


@pytest.mark.parametrize("solver", ["reference", "fast"])
def test_no_plan_nearby_has_a_better_relaxed_objective(solver):
    scores, epsilon, relax, mass = random_scores(200, 4, seed=7), 0.5, 0.3, np.full(4, 0.25)
    scores[:, 0] += 2
    strength = epsilon * (1 - relax) / relax
    if solver == "reference":
        q = sinkhorn_reference(scores, epsilon, relax=relax).numpy()
    else:
        q = plan(scores, sinkhorn(scores, epsilon, relax=relax, tol=1e-5, max_iter=500)).double().numpy()
    best = relaxed_objective(scores.numpy(), q, epsilon, mass, strength)
    for seed in range(5):
        logits = np.log(q) + 0.2 * np.random.default_rng(seed).normal(size=q.shape)
        other = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert relaxed_objective(scores.numpy(), other, epsilon, mass, strength) < best


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(2, 60), st.integers(2, 8), st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 2.0])),
    st.sampled_from([0.0, 0.05, 0.3, 0.8, 1.0]),
    st.booleans(),
)
def test_the_fast_solver_has_the_labels_and_masses_of_the_reference(shape, relax, uneven):
    scores = random_scores(*shape)
    mass = torch.arange(1, shape[1] + 1).double() / (shape[1] * (shape[1] + 1) / 2) if uneven else None
    expected = sinkhorn_reference(scores, 0.5, mass, relax)
    a = sinkhorn(scores, 0.5, mass, relax, tol=1e-5, max_iter=20_000)
    assert a.converged
    assert (plan(scores, a).double().mean(dim=0) - expected.mean(dim=0)).abs().max() < 1e-4
    top = expected.log().topk(2, dim=1)
    clear = top.values[:, 0] - top.values[:, 1] > 1e-2  # elsewhere two labels are equally good
    assert torch.equal(a.labels[clear], top.indices[clear, 0])


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 1 / 25])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_without_a_tolerance_the_fast_solver_makes_the_iterations_of_the_reference(epsilon, scale):
    scores = random_scores(200, 7, 3, scale)
    expected = sinkhorn_reference(scores, epsilon, torch.full((7,), 1 / 7), tol=0, max_iter=400)
    assert (plan(scores, sinkhorn(scores, epsilon, tol=None, max_iter=400)) - expected).abs().max() < 2e-3


def test_the_solver_page_shows_the_code_of_the_reference():
    page = (Path(__file__).parents[2] / "docs" / "solver.md").read_text()
    listing = page.split("```py\n")[1].split("```")[0].splitlines()
    code = [line.strip() for line in inspect.getsource(sinkhorn_reference).splitlines()]
    assert len(listing) > 8 and all(line.strip() in code for line in listing)
