"""Stores evaluate as the scores do, within the range that they report."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment import kernels
from selflabel.assignment.evaluator import DualEvaluator
from selflabel.assignment.passes import Pass, run_concurrently
from selflabel.assignment.reducer import Reducer
from selflabel.assignment.stores import DenseStore, PackedStore, SparseStore, Workspace, depths_below_peak, widest_leeway
from tests.assignment.problems import clustered_scores, random_scores


def fill(store, source):
    yield Pass(source, store.add)


@pytest.mark.parametrize("kind", [DenseStore, PackedStore, SparseStore])
def test_a_store_evaluates_as_the_scores_do(compiled, kind):
    source, epsilon = clustered_scores(n=2000), 0.1
    v = torch.zeros(40, dtype=torch.float64)
    module = kernels.kernels_for(torch.device("cpu"), 0)
    cutoff, leeway = math.log(40 / 1e-4), torch.full((40,), 6.0, dtype=torch.float64)
    store = {
        DenseStore: lambda: DenseStore(source, v, epsilon, module, Workspace(1 << 30)),
        PackedStore: lambda: PackedStore(source, v, epsilon, module, Workspace(1 << 30), cutoff),
        SparseStore: lambda: SparseStore(v, epsilon, cutoff, leeway, module),
    }[kind]()
    exact = DualEvaluator(source, epsilon, 1e-2, Reducer(), Workspace(0), n_direct=math.inf)
    run_concurrently([fill(store, source)])
    x = torch.linspace(-5, 5, 40, dtype=torch.float64)
    assert store.covers(x)
    sums, logs = store.evaluate(x)
    expected = run_concurrently([exact.evaluate_exactly((epsilon * x).numpy())])[0]
    assert np.abs(sums.numpy() / 2000 - expected.mass).max() < 2e-4
    if kind is not PackedStore:  # whose logs lack a constant a row
        assert (logs + store.peak_sum) / 2000 == pytest.approx(expected.lse, abs=3e-3)


def test_packed_scores_select_nearby_entries_again_when_labels_have_moved(compiled):
    source, epsilon = clustered_scores(n=20_000, k=200, scale=20.0), 0.04
    v, workspace = torch.zeros(200, dtype=torch.float64), Workspace(1 << 30)
    module = kernels.kernels_for(torch.device("cpu"), 0)
    store = PackedStore(source, v, epsilon, module, workspace, math.log(200 / 1e-4))
    run_concurrently([fill(store, source)])
    again = PackedStore(source, v, 2 * epsilon, module, workspace, math.log(200 / 1e-4))
    assert again.is_full and again.scores is store.scores and not store.is_full  # packed once for every epsilon
    selections = []
    for far in (0.0, 1.0, 60.0, 61.0, 300.0):
        x = torch.zeros(200, dtype=torch.float64)
        x[7], x[9] = far, -far
        sums, logs = store.evaluate(x)
        selections.append(store.nearby)
        expected = module.packed_sums(store.scores, store.scales, epsilon * x, epsilon)
        assert (sums - expected[0]).abs().max() < 1e-4 * 100  # of a label's share of the items
        assert logs == pytest.approx(expected[1], rel=1e-5)
    assert selections[0] is selections[1] and selections[2] is selections[3] and len({id(n) for n in selections}) == 3
    assert float(selections[2].leeway[7]) > 60 > float(selections[2].leeway[0])  # a label that moved far may do so again


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3.0, 30.0]))
def test_while_labels_keep_to_their_leeways_what_was_left_out_stays_below_its_share(seed, scale):
    g = torch.Generator().manual_seed(seed)
    scores, epsilon, share = torch.randn(60, 25, generator=g) * scale, 0.1, 1e-3
    leeway = 10 * torch.rand(25, generator=g).double()
    counts, columns, _, _ = kernels.reference.sparse_kernel(scores, torch.zeros(25), epsilon, math.log(25 / share), leeway)
    x = leeway * (2 * torch.rand(25, generator=g).double() - 1) + 3.0  # 3 is a move that all share
    assert SparseStore(torch.zeros(25), epsilon, 0.0, leeway, None).covers(x)
    soft = torch.softmax(scores.double() / epsilon + x, dim=1)
    soft[torch.arange(60).repeat_interleave(counts), columns.long()] = 0
    assert float(soft.max()) <= share / 25 and float(soft.sum(dim=1).max()) <= share


def test_stores_report_where_they_are_no_longer_exact():
    v, leeway = torch.zeros(3).double(), torch.tensor([1.0, 5.0, 5.0]).double()
    sparse = SparseStore(v, 0.1, 10.0, leeway, None)
    assert sparse.covers(torch.tensor([0.9, -4.0, 0.0])) and not sparse.covers(torch.tensor([3.0, -4.0, 0.0]))
    dense = DenseStore(torch.zeros(2, 3), v, 0.1, None, Workspace(1 << 10))
    assert dense.covers(torch.tensor([0.0, 69.0, 0.0])) and not dense.covers(torch.tensor([-35.0, 36.0, 0.0]))


def test_the_leeway_is_the_widest_that_lets_few_entries_in_and_wider_for_labels_that_moved():
    depths = depths_below_peak(random_scores(200, 30, scale=3.0), torch.zeros(30).double(), 0.1)
    assert float(depths.min()) == 0 and (depths.amin(dim=1) == 0).all()
    moves = torch.zeros(30).double()
    moves[3] = 4.0
    wide, narrow = (widest_leeway(depths, 10.0, moves, share) for share in (0.9, 0.3))
    assert float(wide[0]) > float(narrow[0]) and float(narrow[3]) > float(narrow[0])
    assert widest_leeway(depths, 10.0, moves, 0.0) is None


def test_a_workspace_is_allocated_once_and_forgets_packed_scores_that_it_overwrites():
    workspace = Workspace(1 << 20, expected=4096)
    first = workspace.allocate((10, 10), torch.device("cpu"), torch.int16)
    buffer = workspace.buffer
    assert len(buffer) == 4096 and first.shape == (10, 10)
    workspace.packed = first, first, first
    second = workspace.allocate((10, 20), torch.device("cpu"), torch.bfloat16)
    assert workspace.buffer is buffer and workspace.packed is None and second.data_ptr() == first.data_ptr()
    assert len(Workspace(100, expected=4096).allocate((10, 10), torch.device("cpu"), torch.int16)) == 10
