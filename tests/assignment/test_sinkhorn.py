import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from selflabel.assignment import LinearScores, plan, sinkhorn
from selflabel.assignment import sinkhorn as solve
from tests.reference.transport import relaxed_objective, sinkhorn_knopp

shapes = st.tuples(st.integers(2, 60), st.integers(1, 8), st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 4.0]))


def scores_of(shape):
    n, k, seed, scale = shape
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed)) * scale


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_every_label_gets_its_mass(shape):
    scores = scores_of(shape)
    k = shape[1]
    mass = torch.arange(1, k + 1).double()
    mass /= mass.sum()
    a = solve(scores, epsilon=0.5, mass=mass, tol=1e-4, max_iter=20_000)
    assert a.converged
    assert torch.allclose(plan(scores, a).mean(dim=0).double(), mass, rtol=1e-3)


@settings(max_examples=30, deadline=None)
@given(shapes)
def test_the_order_of_items_and_a_constant_on_a_row_change_nothing(shape):
    scores = scores_of(shape)
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(1))
    shifted = scores + torch.linspace(-30, 30, len(scores))[:, None]
    base = plan(scores, solve(scores, 0.5, tol=None, max_iter=50))
    assert torch.allclose(plan(scores[order], solve(scores[order], 0.5, tol=None, max_iter=50)), base[order], atol=1e-4)
    assert torch.allclose(plan(shifted, solve(shifted, 0.5, tol=None, max_iter=50)), base, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(shapes)
def test_permuting_labels_permutes_the_plan(shape):
    scores = scores_of(shape)
    order = torch.randperm(scores.shape[1], generator=torch.Generator().manual_seed(2))
    base = plan(scores, solve(scores, 0.5, tol=None, max_iter=50))
    assert torch.allclose(plan(scores[:, order], solve(scores[:, order], 0.5, tol=None, max_iter=50)), base[:, order], atol=1e-4)


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 1 / 25])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_it_equals_the_plain_float64_formula(epsilon, scale):
    scores = scores_of((200, 7, 3, scale))
    mass = torch.full((7,), 1 / 7).double()
    expected = sinkhorn_knopp(scores.numpy(), epsilon, mass.numpy(), 400)
    found = plan(scores, sinkhorn(scores, epsilon, tol=None, max_iter=400))
    assert np.abs(found.numpy() - expected).max() < 2e-3


def test_small_epsilon_finds_the_exact_assignment():
    scores = scores_of((40, 4, 5, 1.0)).double()
    rows, columns = linear_sum_assignment(-np.repeat(scores.numpy(), 10, axis=1))
    best = scores.numpy()[rows, columns // 10].sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = sinkhorn(scores, epsilon=5e-3, tol=1e-3, max_iter=20_000).labels
    assert float(scores[torch.arange(40), labels].sum()) >= best - 0.05


def test_scores_far_beyond_float32_exponentials_do_not_underflow():
    scores = torch.randn(300, 5, generator=torch.Generator().manual_seed(0)) * 40
    scores[:, 2] -= 1e4  # no item wants label 2 at all
    a = sinkhorn(scores, epsilon=1 / 25, tol=1e-1, max_iter=3000)
    counts = torch.bincount(a.labels, minlength=5)
    assert math.isfinite(a.error)
    assert counts.min() > 0.5 * 60 and counts.max() < 1.5 * 60


@pytest.mark.parametrize("scores", [torch.zeros(12, 3), torch.zeros(1, 1), torch.tensor([[1.0, 2.0]]), torch.zeros(3, 9)])
def test_ties_single_items_and_more_labels_than_items_are_solved(scores):
    a = sinkhorn(scores, tol=1e-2, max_iter=50)
    assert a.labels.shape == (len(scores),)
    assert torch.isfinite(a.potentials).all()


def test_linear_scores_and_lists_of_heads_equal_the_matrix():
    g = torch.Generator().manual_seed(0)
    x, w, b = torch.randn(50, 6, generator=g), torch.randn(4, 6, generator=g), torch.randn(4, generator=g)
    whole = sinkhorn(x @ w.T + b, 0.3)
    one, two = sinkhorn([LinearScores(x, w, b), LinearScores(x, w)], 0.3)
    assert torch.equal(one.labels, whole.labels)
    assert len(two.labels) == 50


def test_relaxation_goes_from_fixed_to_free_and_solves_its_own_problem():
    scores = scores_of((200, 4, 7, 1.0))
    scores[:, 0] += 2
    sizes = []
    for relax in (0.0, 0.3, 0.7, 1.0):
        a = sinkhorn(scores, 0.5, relax=relax, tol=None, max_iter=200)
        sizes.append(float(plan(scores, a)[:, 0].mean()))
    assert sizes[0] == pytest.approx(0.25, abs=1e-3)
    assert sizes == sorted(sizes)
    assert sizes[-1] == pytest.approx(float(torch.softmax(scores / 0.5, 1)[:, 0].mean()), abs=1e-4)
    relax, epsilon = 0.3, 0.5
    strength = epsilon * (1 - relax) / relax
    a = sinkhorn(scores, epsilon, relax=relax, tol=1e-5, max_iter=500)
    q = plan(scores, a).double().numpy()
    mass = np.full(4, 0.25)
    best = relaxed_objective(scores.numpy(), q, epsilon, mass, strength)
    for seed in range(5):
        logits = np.log(q) + 0.2 * np.random.default_rng(seed).normal(size=q.shape)
        other = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert relaxed_objective(scores.numpy(), other, epsilon, mass, strength) < best


def test_turns_are_exact_without_a_tolerance_and_a_warm_start_saves_them():
    scores = scores_of((500, 10, 1, 3.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sinkhorn(scores, 0.1, tol=None, max_iter=3).n_iter == 3
    cold = sinkhorn(scores, 0.1, tol=1e-3, max_iter=5000)
    warm = sinkhorn(scores, 0.1, tol=1e-3, max_iter=5000, warm_start=cold.potentials)
    assert warm.n_iter == 0 and warm.converged and cold.n_iter > 5


def test_it_says_when_it_did_not_converge():
    with pytest.warns(RuntimeWarning, match="mass error"):
        a = sinkhorn(scores_of((300, 10, 1, 9.0)), 0.02, tol=1e-4, max_iter=2)
    assert not a.converged and a.error > 1e-4


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (torch.zeros(0, 3), {}, "empty"),
        (torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), {}, "row 1"),
        (torch.tensor([[0.0, float("inf")], [0.0, 0.0]]), {}, "row 0"),
        (torch.zeros(4, 2), {"mass": [0.5, -0.5]}, "positive"),
        (torch.zeros(4, 2), {"mass": [0.5, 0.6]}, "sum to 1"),
        (torch.zeros(4, 2), {"mass": [1.0]}, "2 labels"),
        (torch.zeros(4, 2), {"relax": 2.0}, "relax"),
        (torch.zeros(4, 2), {"epsilon": 0.0}, "epsilon"),
        (torch.zeros(4, 2), {"rounding": "up"}, "rounding"),
    ],
)
def test_bad_input_is_named(scores, options, message):
    if "mass" in options:
        options = {"mass": torch.tensor(options["mass"])}
    with pytest.raises(ValueError, match=message):
        sinkhorn(scores, **options)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type_is_taken(dtype):
    scores = scores_of((60, 4, 1, 1.0))
    assert (sinkhorn(scores.to(dtype), 0.5).labels == sinkhorn(scores, 0.5).labels).float().mean() > 0.95


@pytest.mark.parametrize(("n", "k", "seed"), [(40, 4, 0), (43, 5, 1), (30, 30, 2)])
def test_exact_rounding_gives_every_label_its_share_at_the_least_loss(n, k, seed):
    scores = scores_of((n, k, seed, 2.0)).double()
    labels = sinkhorn(scores, 0.1, tol=0.05, max_iter=2000, rounding="exact").labels
    sizes = torch.bincount(labels, minlength=k)
    assert sizes.max() - sizes.min() <= 1
    rows, columns = linear_sum_assignment(-np.repeat(scores.numpy(), sizes.numpy(), axis=1))
    best = scores.numpy()[rows, np.repeat(np.arange(k), sizes.numpy())[columns]].sum()
    assert float(scores[torch.arange(n), labels].sum()) == pytest.approx(best, abs=1e-4)
