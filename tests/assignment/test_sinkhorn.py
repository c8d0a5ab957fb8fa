"""The public solver: its laws, its options, and other packages' answers."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from selflabel.assignment import LinearScores, plan, sinkhorn, soft_masses
from selflabel.assignment.sinkhorn import n_concurrent
from selflabel.assignment.stores import Workspace
from tests.assignment.problems import clustered_scores, masses, random_scores

shapes = st.tuples(st.integers(2, 60), st.integers(1, 8), st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 4.0]))


# ------------------------------------------------------------------------------------------------------------- laws


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_every_label_gets_its_mass(shape):
    scores = random_scores(*shape)
    k = shape[1]
    mass = torch.arange(1, k + 1).double()
    mass /= mass.sum()
    a = sinkhorn(scores, epsilon=0.5, mass=mass, tol=1e-4, max_iter=20_000)
    assert a.converged
    assert torch.allclose(plan(scores, a).mean(dim=0).double(), mass, rtol=1e-3)


@settings(max_examples=30, deadline=None)
@given(shapes)
def test_the_order_of_items_and_a_constant_on_a_row_change_nothing(shape):
    scores = random_scores(*shape)
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(1))
    shifted = scores + torch.linspace(-30, 30, len(scores))[:, None]
    base = plan(scores, sinkhorn(scores, 0.5, tol=None, max_iter=50))
    assert torch.allclose(plan(scores[order], sinkhorn(scores[order], 0.5, tol=None, max_iter=50)), base[order], atol=1e-4)
    assert torch.allclose(plan(shifted, sinkhorn(shifted, 0.5, tol=None, max_iter=50)), base, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(shapes)
def test_permuting_labels_permutes_the_plan(shape):
    scores = random_scores(*shape)
    order = torch.randperm(scores.shape[1], generator=torch.Generator().manual_seed(2))
    base = plan(scores, sinkhorn(scores, 0.5, tol=None, max_iter=50))
    permuted = scores[:, order]
    assert torch.allclose(plan(permuted, sinkhorn(permuted, 0.5, tol=None, max_iter=50)), base[:, order], atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 999), st.sampled_from([0.01, 1.0, 1e3]))
def test_any_shape_is_solved_or_reported_as_not_converged(n, k, seed, scale):
    scores = random_scores(n, k, seed, scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a = sinkhorn(scores, 0.1)
    assert a.labels.shape == (n,) and int(a.labels.min()) >= 0 and int(a.labels.max()) < k
    assert torch.isfinite(a.potentials).all() and a.error >= 0
    assert a.converged == (a.error <= 1e-2)


def test_small_epsilon_finds_the_exact_assignment():
    scores = random_scores(40, 4, 5).double()
    rows, columns = linear_sum_assignment(-np.repeat(scores.numpy(), 10, axis=1))
    best = scores.numpy()[rows, columns // 10].sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = sinkhorn(scores, epsilon=5e-3, tol=1e-3, max_iter=20_000).labels
    assert float(scores[torch.arange(40), labels].sum()) >= best - 0.05


def test_relaxation_goes_from_fixed_to_free():
    scores = random_scores(200, 4, 7)
    scores[:, 0] += 2
    sizes = []
    for relax in (0.0, 0.3, 0.7, 1.0):
        a = sinkhorn(scores, 0.5, relax=relax, tol=None, max_iter=200)
        sizes.append(float(plan(scores, a)[:, 0].mean()))
    assert sizes[0] == pytest.approx(0.25, abs=1e-3)
    assert sizes == sorted(sizes)
    assert sizes[-1] == pytest.approx(float(torch.softmax(scores / 0.5, 1)[:, 0].mean()), abs=1e-4)


@pytest.mark.parametrize("relax", [0.1, 0.2, 0.3, 0.45, 0.6, 0.9])
def test_potentials_of_fixed_masses_are_no_bad_start_for_relaxed_ones_and_lost_labels_are_no_error(relax):
    x, w = random_scores(400, 16, 1, 3.0), random_scores(60, 16, 2)
    scores = (torch.softmax(x @ w.T, dim=1) + 1e-8).log()  # most labels are the best of no item
    fixed = sinkhorn(scores, 0.2, tol=5e-2, max_iter=200)
    warm = sinkhorn(scores, 0.2, relax=relax, tol=5e-2, max_iter=60, warm_start=fixed.potentials)
    assert warm.converged and (plan(scores, warm) - plan(scores, sinkhorn(scores, 0.2, relax=relax))).abs().max() < 0.1


# ------------------------------------------------------------------------------------------------------------ input


def test_linear_scores_and_lists_of_heads_equal_the_matrix():
    g = torch.Generator().manual_seed(0)
    x, w, b = torch.randn(50, 6, generator=g), torch.randn(4, 6, generator=g), torch.randn(4, generator=g)
    whole = sinkhorn(x @ w.T + b, 0.3)
    one, two = sinkhorn([LinearScores(x, w, b), LinearScores(x, w)], 0.3)
    assert torch.equal(one.labels, whole.labels)
    assert len(two.labels) == 50


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type_is_accepted(dtype):
    scores = random_scores(60, 4, 1)
    assert (sinkhorn(scores.to(dtype), 0.5).labels == sinkhorn(scores, 0.5).labels).float().mean() > 0.95


def test_features_may_be_on_disk(tmp_path, compiled):
    source = clustered_scores()
    np.save(tmp_path / "x.npy", source.features.half().numpy())
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="c")
    a = sinkhorn(LinearScores(on_disk, source.weight, source.bias), 1 / 10, memory=1 << 16)
    b = sinkhorn(LinearScores(source.features.half(), source.weight, source.bias), 1 / 10)
    assert a.converged and (a.labels == b.labels).float().mean() > 0.99


@pytest.mark.parametrize("scores", [torch.zeros(12, 3), torch.zeros(1, 1), torch.tensor([[1.0, 2.0]]), torch.zeros(3, 9)])
def test_ties_single_items_and_more_labels_than_items_are_solved(scores):
    a = sinkhorn(scores, tol=1e-2, max_iter=50)
    assert a.labels.shape == (len(scores),)
    assert torch.isfinite(a.potentials).all()


def test_scores_far_beyond_float32_exponentials_do_not_underflow():
    scores = random_scores(300, 5) * 40
    scores[:, 2] -= 1e4  # no item prefers label 2
    a = sinkhorn(scores, epsilon=1 / 25, tol=1e-1, max_iter=3000)
    counts = torch.bincount(a.labels, minlength=5)
    assert math.isfinite(a.error)
    assert counts.min() > 0.5 * 60 and counts.max() < 1.5 * 60


def test_a_label_that_no_item_prefers_gets_its_mass(compiled):
    scores = clustered_scores(n=4000, k=25).product()
    scores[:, 3] -= 5_000
    a = sinkhorn(scores, 1 / 25, tol=1e-2)
    assert a.converged and masses(scores, a)[3] == pytest.approx(1 / 25, rel=0.02)


# ------------------------------------------------------------------------------------------- iterations and heads


def test_iterations_are_exact_without_a_tolerance_and_a_warm_start_saves_them():
    scores = random_scores(500, 10, 1, 3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sinkhorn(scores, 0.1, tol=None, max_iter=3).n_iter == 3
    cold = sinkhorn(scores, 0.1, tol=1e-3, max_iter=5000)
    warm = sinkhorn(scores, 0.1, tol=1e-3, max_iter=5000, warm_start=cold.potentials)
    assert warm.n_iter == 0 and warm.converged and cold.n_iter > 5


def test_it_warns_when_it_did_not_converge():
    with pytest.warns(RuntimeWarning, match="mass error"):
        a = sinkhorn(random_scores(300, 10, 1, 9.0), 0.02, tol=1e-4, max_iter=2)
    assert not a.converged and a.error > 1e-4


def test_heads_over_the_same_features_share_their_passes(monkeypatch):
    x = clustered_scores().features
    heads = [LinearScores(x, clustered_scores(k=k, seed=k).weight) for k in (20, 30, 40)]
    blocks = []
    original = LinearScores.product

    def record(self, features=None, out=None):
        blocks.append(id(features))
        return original(self, features, out)

    monkeypatch.setattr(LinearScores, "product", record)
    concurrent = sinkhorn(heads, 1 / 10, tol=1e-3)
    assert len(set(blocks)) < 0.7 * len(blocks)  # the same block of features, given to several heads
    for head, one in zip(heads, concurrent):
        single = sinkhorn(head, 1 / 10, tol=1e-3)
        assert torch.equal(single.labels, one.labels)
        assert single.n_iter == one.n_iter and single.n_passes == one.n_passes
    assert all(a.labels.max() < k for a, k in zip(concurrent, (20, 30, 40)))


def test_as_many_heads_are_solved_at_a_time_as_fit_into_memory():
    sources = [torch.zeros(100, 10)] * 3
    assert [n_concurrent(sources, memory) for memory in (0, 2000, 4000, 10**9)] == [1, 1, 2, 3]
    x = random_scores(100, 4, 3)
    separate = sinkhorn([x, x + 1, 2 * x], 0.3, memory=0)
    together = sinkhorn([x, x + 1, 2 * x], 0.3)
    assert all(torch.equal(a.labels, b.labels) for a, b in zip(separate, together))


def test_heads_that_are_solved_together_divide_the_memory(monkeypatch):
    limits, original = [], Workspace.__init__

    def record(self, limit, expected=0):
        limits.append(limit)
        original(self, limit, expected)

    monkeypatch.setattr(Workspace, "__init__", record)
    sinkhorn([random_scores(100, 10)] * 3, 0.3, memory=4_500)  # 2,000 bytes each: two at a time
    assert limits == [2_250] * 3


def test_soft_masses_are_the_mean_of_a_softmax():
    source = clustered_scores(n=500, k=7)
    expected = torch.softmax(source.product().double() / 0.2, dim=1).mean(dim=0)
    assert torch.allclose(soft_masses(source, 0.2), expected, atol=1e-6)


# --------------------------------------------------------------------------------------------------- other packages


def test_pot_finds_the_same_plan():
    ot = pytest.importorskip("ot")
    source, epsilon = clustered_scores(n=1500, k=12, d=8, scale=3.0), 0.1
    scores = source.product().double()
    a = sinkhorn(scores, epsilon, tol=1e-6, max_iter=5000)
    uniform = lambda n: np.full(n, 1 / n)  # noqa: E731
    q = ot.sinkhorn(uniform(1500), uniform(12), -scores.numpy(), epsilon, method="sinkhorn_log", stopThr=1e-12, numItermax=20_000)
    assert np.abs(plan(source, a).numpy() - 1500 * q).max() < 1e-3
    assert torch.equal(a.labels, torch.from_numpy(q.argmax(axis=1))) or (a.labels.numpy() == q.argmax(axis=1)).mean() > 0.999


def test_pot_agrees_on_relaxed_masses():
    ot = pytest.importorskip("ot")
    source, epsilon, relax = clustered_scores(n=600, k=8, d=8, scale=2.0), 0.2, 0.3
    strength = epsilon * (1 - relax) / relax
    a = sinkhorn(source, epsilon, relax=relax, tol=1e-6, max_iter=2000)
    q = ot.unbalanced.sinkhorn_unbalanced(
        np.full(600, 1 / 600), np.full(8, 1 / 8), -source.product().double().numpy(), epsilon, (math.inf, strength),
        reg_type="entropy", stopThr=1e-13, numItermax=20_000,
    )  # fmt: skip
    assert np.abs(masses(source, a) - q.sum(axis=0)).max() < 1e-4
