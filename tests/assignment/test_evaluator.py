"""An evaluation chooses the cheapest store that is exact enough, and equals the formula."""

import math

import numpy as np
import pytest
import torch

from selflabel.assignment import sinkhorn
from selflabel.assignment.evaluator import DualEvaluator
from selflabel.assignment.passes import run_concurrently
from selflabel.assignment.reducer import Reducer
from selflabel.assignment.stores import DenseStore, PackedStore, SparseStore, Workspace
from tests.assignment.problems import clustered_scores, random_scores


def evaluator_of(source, n_direct=0, memory=1 << 30, tol=1e-2, epsilon=0.1):
    return DualEvaluator(source, epsilon, tol, Reducer(), Workspace(memory), n_direct)


def test_dense_packed_and_sparse_stores_are_used_where_each_is_cheapest(compiled, store_kinds):
    flat, sharp = clustered_scores(scale=2.0), clustered_scores(scale=30.0, k=200)
    sinkhorn(flat.product(), 1 / 10)
    assert set(store_kinds) == {DenseStore}
    store_kinds.clear()
    sinkhorn(flat, 1 / 10)
    assert set(store_kinds) == {PackedStore}
    store_kinds.clear()
    sinkhorn(sharp.product(), 1 / 25)
    assert SparseStore in store_kinds
    store_kinds.clear()
    a = sinkhorn(flat, 1 / 10, tol=1e-3, memory=0)
    assert not store_kinds and a.converged


@pytest.mark.parametrize("n_direct", [0, math.inf])
@pytest.mark.parametrize("linear", [False, True])
def test_masses_and_log_sums_equal_the_formula(compiled, linear, n_direct):
    source = clustered_scores(n=900, k=12)
    evaluator = evaluator_of(source if linear else source.product(), n_direct)
    v = np.linspace(-0.5, 0.5, 12)
    (terms,) = run_concurrently([evaluator.evaluate(v)])
    x = (source.product().double() + torch.from_numpy(v)) / 0.1
    assert terms.mass == pytest.approx(torch.softmax(x, dim=1).mean(dim=0).numpy(), abs=1e-4)
    if evaluator.store is None or isinstance(evaluator.store, DenseStore):  # packed ones lack a constant
        assert terms.lse == pytest.approx(float(torch.logsumexp(x, dim=1).mean()), rel=1e-3)
    assert (evaluator.store is None) == (n_direct == math.inf) and evaluator.n_passes == 1


def test_a_store_is_filled_after_the_direct_evaluations_and_serves_those_that_follow(compiled):
    evaluator = evaluator_of(clustered_scores(n=900, k=12).product(), n_direct=2)
    passes = []
    for shift in (0.0, 0.1, 0.2, 0.3, 0.4):
        run_concurrently([evaluator.evaluate(np.linspace(0, shift, 12))])
        passes.append(evaluator.n_passes)
    assert passes == [1, 2, 3, 3, 3] and evaluator.store is not None


def test_a_store_that_potentials_have_left_is_filled_again(compiled):
    evaluator = evaluator_of(clustered_scores(n=900, k=12, scale=2.0).product())
    for far in (0.0, 20.0):  # 200 epsilons
        run_concurrently([evaluator.evaluate(np.linspace(0, far, 12))])
    assert evaluator.n_passes == 2 and float(evaluator.origin[-1]) == 20.0


def test_few_scores_and_little_memory_go_without_a_store():
    scores = random_scores(50, 4)
    assert evaluator_of(scores).choose_store(torch.zeros(4).double(), torch.zeros(4).double()) is None
    flat = clustered_scores(n=900, k=12, scale=1.0)
    v = torch.zeros(12).double()
    assert evaluator_of(flat, memory=0).choose_store(v, v) is None
    assert isinstance(evaluator_of(flat).choose_store(v, v), PackedStore)
    assert not isinstance(evaluator_of(flat, tol=1e-4).choose_store(v, v), PackedStore)  # 16 bits are not exact enough


def test_labels_are_the_best_at_the_given_potentials():
    scores, v = random_scores(50, 4), np.array([0.0, 1.0, -1.0, 0.5])
    labels = torch.empty(50, dtype=torch.int64)
    run_concurrently([evaluator_of(scores).evaluate_exactly(v, labels)])
    assert torch.equal(labels, (scores + torch.from_numpy(v)).argmax(dim=1))


def test_a_dead_label_is_raised_to_the_highest_label_of_one_item():
    scores = random_scores(50, 4)
    scores[:, 2] -= 1e4
    scores[:, 3] -= 10  # the best label of no item, but not dead
    (v,) = run_concurrently([evaluator_of(scores).raise_dead_labels(np.zeros(4), np.array([False, False, True, False]))])
    raised = scores + torch.from_numpy(v)
    gap = raised[:, 2] - raised[:, [0, 1, 3]].amax(dim=1)
    assert v[[0, 1, 3]].tolist() == [0, 0, 0] and float(gap.max()) == pytest.approx(0, abs=1e-2)
