"""However scores are read, the answer is plain alternation's within the tolerance; and POT's."""

import math
import os
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment import LinearScores, kernels, plan, reading, sinkhorn
from selflabel.assignment.dual import SLACK, Curvature, Problem, climb, look
from selflabel.assignment.marginals import asked, gaussian, matched, zipf
from selflabel.assignment.reading import Dense, Everyone, Packed, Reading, Room, Sparse
from selflabel.assignment.sinkhorn import soft_masses, together
from tests.reference.transport import sinkhorn_knopp

ROOT = Path(__file__).parents[2]


def items(n=6_000, k=40, d=16, seed=0, scale=4.0):
    """Features around k centres of uneven popularity, and a head that knows the centres: what a trained network gives."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.nn.functional.normalize(torch.randn(k, d, generator=g), dim=1)
    popularity = torch.exp(0.8 * torch.randn(k, generator=g))
    of = torch.multinomial(popularity / popularity.sum(), n, replacement=True, generator=g)
    x = centres[of] + torch.randn(n, d, generator=g) / d**0.5
    return LinearScores(x, scale * centres, 0.5 * torch.randn(k, generator=g))


def masses(source, a):
    return plan(source, a).double().mean(dim=0).numpy()


@pytest.fixture
def compiled(monkeypatch):
    """Compiled passes however few the scores."""
    monkeypatch.setattr(kernels, "LARGE", 0)


@pytest.fixture
def stores(monkeypatch):
    """The kinds of store that a solve held, as they were made."""
    seen = []
    for kind in (Dense, Packed, Sparse):
        made = kind.__init__

        def noted(self, *given, kind=kind, made=made):
            seen.append(kind)
            made(self, *given)

        monkeypatch.setattr(kind, "__init__", noted)
    return seen


def fixed_point(source, epsilon, turns=4000):
    """(plan, masses) of plain alternation run to its end, in float64."""
    q = sinkhorn_knopp(source.product().numpy(), epsilon, np.full(source.shape[1], 1 / source.shape[1]), turns)
    return q


@pytest.mark.parametrize("scale", [2.0, 8.0, 20.0])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("memory", [None, 0])
def test_every_way_of_reading_ends_at_plain_alternations_plan(compiled, scale, linear, memory):
    source = items(scale=scale)
    scores = source if linear else source.product()
    a = sinkhorn(scores, 1 / 10, tol=1e-3, memory=memory)
    assert a.converged
    assert np.abs(masses(source, a) * 40 - 1).max() < 2e-3
    assert np.abs(plan(source, a).numpy() - fixed_point(source, 1 / 10)).mean() < 2e-4


def test_dense_packed_and_sparse_stores_are_what_they_are_chosen_for(compiled, stores):
    flat, sharp = items(scale=2.0), items(scale=30.0, k=200)
    sinkhorn(flat.product(), 1 / 10)
    assert set(stores) == {Dense}
    stores.clear()
    sinkhorn(flat, 1 / 10)
    assert set(stores) == {Packed}
    stores.clear()
    sinkhorn(sharp.product(), 1 / 25)
    assert Sparse in stores
    stores.clear()
    a = sinkhorn(flat, 1 / 10, tol=1e-3, memory=0)
    assert not stores and a.converged


@pytest.mark.parametrize("kind", [Dense, Packed, Sparse])
def test_a_store_turns_as_the_scores_do(compiled, kind):
    source, epsilon = items(n=2000), 0.1
    v = torch.zeros(40, dtype=torch.float64)
    work = kernels.passes(torch.device("cpu"), 0)
    least, leeway = math.log(40 / 1e-4), torch.full((40,), 6.0, dtype=torch.float64)
    store = {
        Dense: lambda: Dense(source, v, epsilon, work, Room(1 << 30)),
        Packed: lambda: Packed(source, v, epsilon, work, Room(1 << 30), least),
        Sparse: lambda: Sparse(v, epsilon, least, leeway, work),
    }[kind]()
    exact = Reading(source, epsilon, 1e-2, Everyone(), Room(0), direct=math.inf)
    together([given_to(store, source)])
    x = torch.linspace(-5, 5, 40, dtype=torch.float64)
    assert store.reaches(x)
    sums, logs = store.turn(x)
    expected = together([exact.exactly((epsilon * x).numpy())])[0]
    assert np.abs(sums.numpy() / 2000 - expected.mass).max() < 2e-4
    if kind is not Packed:  # whose logs lack a constant a row
        assert (logs + store.peaks) / 2000 == pytest.approx(expected.lse, abs=3e-3)


def test_packed_scores_keep_near_entries_and_choose_anew_as_labels_move(compiled):
    source, epsilon = items(n=20_000, k=200, scale=20.0), 0.04
    v, room = torch.zeros(200, dtype=torch.float64), Room(1 << 30)
    work = kernels.passes(torch.device("cpu"), 0)
    store = Packed(source, v, epsilon, work, room, math.log(200 / 1e-4))
    together([given_to(store, source)])
    again = Packed(source, v, 2 * epsilon, work, room, math.log(200 / 1e-4))
    assert again.filled and again.scores is store.scores and not store.filled  # packed once for every epsilon
    chosen = []
    for far in (0.0, 1.0, 60.0, 61.0, 300.0):
        x = torch.zeros(200, dtype=torch.float64)
        x[7], x[9] = far, -far
        sums, logs = store.turn(x)
        chosen.append(store.near)
        expected = work.packed_turn(store.scores, store.scales, epsilon * x, epsilon)
        assert (sums - expected[0]).abs().max() < 1e-4 * 100  # of a label's share of the items
        assert logs == pytest.approx(expected[1], rel=1e-5)
    assert chosen[0] is chosen[1] and chosen[2] is chosen[3] and len({id(n) for n in chosen}) == 3
    assert float(chosen[2].leeway[7]) > 60 > float(chosen[2].leeway[0])  # who moved far may do so again


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3.0, 30.0]))
def test_while_labels_keep_to_their_leeways_what_was_left_out_stays_below_its_share(seed, scale):
    g = torch.Generator().manual_seed(seed)
    scores, epsilon, share = torch.randn(60, 25, generator=g) * scale, 0.1, 1e-3
    leeway = 10 * torch.rand(25, generator=g).double()
    counts, columns, _, _ = kernels.reference.sparse_kernel(scores, torch.zeros(25), epsilon, math.log(25 / share), leeway)
    x = leeway * (2 * torch.rand(25, generator=g).double() - 1) + 3.0  # 3 is a move that all share
    assert Sparse(torch.zeros(25), epsilon, 0.0, leeway, None).reaches(x)
    soft = torch.softmax(scores.double() / epsilon + x, dim=1)
    soft[torch.arange(60).repeat_interleave(counts), columns.long()] = 0
    assert float(soft.max()) <= share / 25 and float(soft.sum(dim=1).max()) <= share


def given_to(store, source):
    yield from (reading.Pass(source, store.add) for _ in range(1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 3.0, 15.0]), st.sampled_from([0.0, 0.4]))
def test_the_dual_never_falls_on_the_way(seed, scale, relax):
    source = torch.randn(400, 12, generator=torch.Generator().manual_seed(seed)) * scale
    epsilon, heights = 0.1, []
    strength = math.inf if relax == 0 else epsilon * (1 - relax) / relax
    problem = Problem(np.full(12, -math.log(12)), epsilon, strength)
    exact = Reading(source, epsilon, 1e-4, Everyone(), Room(0), direct=math.inf)

    def climbing():
        first = look(problem, (yield from exact.turn(np.zeros(12))), np.zeros(12))
        heights.append(first.height)
        for _ in range(12):  # one accepted step at a time, on curvature that goes on
            here, turns = yield from climb(exact.turn, problem, first, 1e-3, 5, learned)
            heights.append(here.height)
            first = here
            if turns == 0:
                break

    learned = Curvature()
    together([climbing()])
    assert len(heights) > 1
    assert all(b >= a - 5 * SLACK * max(1, abs(a)) for a, b in pairwise(heights))


def test_pot_finds_the_same_plan():
    ot = pytest.importorskip("ot")
    source, epsilon = items(n=1500, k=12, d=8, scale=3.0), 0.1
    scores = source.product().double()
    a = sinkhorn(scores, epsilon, tol=1e-6, max_iter=5000)
    uniform = lambda n: np.full(n, 1 / n)  # noqa: E731
    q = ot.sinkhorn(uniform(1500), uniform(12), -scores.numpy(), epsilon, method="sinkhorn_log", stopThr=1e-12, numItermax=20_000)
    assert np.abs(plan(source, a).numpy() - 1500 * q).max() < 1e-3
    assert torch.equal(a.labels, torch.from_numpy(q.argmax(axis=1))) or (a.labels.numpy() == q.argmax(axis=1)).mean() > 0.999


def test_pot_agrees_on_relaxed_masses():
    ot = pytest.importorskip("ot")
    source, epsilon, relax = items(n=600, k=8, d=8, scale=2.0), 0.2, 0.3
    strength = epsilon * (1 - relax) / relax
    a = sinkhorn(source, epsilon, relax=relax, tol=1e-6, max_iter=2000)
    q = ot.unbalanced.sinkhorn_unbalanced(
        np.full(600, 1 / 600), np.full(8, 1 / 8), -source.product().double().numpy(), epsilon, (math.inf, strength),
        reg_type="entropy", stopThr=1e-13, numItermax=20_000,
    )  # fmt: skip
    assert np.abs(masses(source, a) - q.sum(axis=0)).max() < 1e-4


@pytest.mark.parametrize("dealt", ["gaussian", "zipf"])
def test_asked_sizes_are_dealt_to_the_labels_that_want_them(dealt):
    source = items(n=8_000, k=30, scale=6.0)
    shares = gaussian(30, torch.Generator().manual_seed(0), sd=0.4) if dealt == "gaussian" else zipf(30)
    wanted = soft_masses(source, 0.1)
    assert wanted.sum() == pytest.approx(1)
    mass = matched(shares, wanted)
    sizes = torch.bincount(sinkhorn(source, 0.1, mass).labels, minlength=30).double()
    assert np.corrcoef(sizes.numpy(), mass.numpy())[0, 1] > 0.95  # what was asked is what is had
    ranks = np.corrcoef(wanted.argsort().argsort().numpy(), mass.argsort().argsort().numpy())[0, 1]
    assert ranks == pytest.approx(1)  # and who had most may have most


def test_estimated_shares_follow_what_labels_want_and_starve_none():
    source = items(n=4_000, k=20, scale=30.0)
    wanted, shares = soft_masses(source, 0.1), asked("estimated", source, 0.1)
    assert shares.sum() == pytest.approx(1) and float(shares.min()) >= 0.5 / 20
    assert torch.equal(shares.argsort(), wanted.argsort())
    sizes = torch.bincount(sinkhorn(source, 0.1, shares).labels, minlength=20).double() / 4_000
    assert float((sizes - shares).abs().max()) < 0.01


def test_heads_over_the_same_features_share_their_passes(monkeypatch):
    x = items().features
    heads = [LinearScores(x, items(k=k, seed=k).weight) for k in (20, 30, 40)]
    read_rows = []
    kept = LinearScores.product
    monkeypatch.setattr(LinearScores, "product", lambda self, f=None, out=None: (read_rows.append(id(f)), kept(self, f, out))[1])
    side_by_side = sinkhorn(heads, 1 / 10, tol=1e-3)
    blocks_shared = len(set(read_rows))
    assert blocks_shared < 0.7 * len(read_rows)  # the same block of features, given to several heads
    for head, one in zip(heads, side_by_side):
        alone = sinkhorn(head, 1 / 10, tol=1e-3)
        assert torch.equal(alone.labels, one.labels)
        assert alone.n_iter == one.n_iter and alone.n_passes == one.n_passes
    assert [a.labels.max() < k for a, k in zip(side_by_side, (20, 30, 40))]


def test_features_may_lie_on_disk(tmp_path, compiled):
    source = items()
    np.save(tmp_path / "x.npy", source.features.half().numpy())
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="c")
    a = sinkhorn(LinearScores(on_disk, source.weight, source.bias), 1 / 10, memory=1 << 16)
    b = sinkhorn(LinearScores(source.features.half(), source.weight, source.bias), 1 / 10)
    assert a.converged and (a.labels == b.labels).float().mean() > 0.99


def test_a_label_that_no_item_wants_gets_its_mass(compiled):
    scores = items(n=4000, k=25).product()
    scores[:, 3] -= 5_000
    a = sinkhorn(scores, 1 / 25, tol=1e-2)
    assert a.converged and masses(scores, a)[3] == pytest.approx(1 / 25, rel=0.02)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 999), st.sampled_from([0.01, 1.0, 1e3]))
def test_any_shape_is_solved_or_said_not_to_be(n, k, seed, scale):
    scores = torch.randn(n, k, generator=torch.Generator().manual_seed(seed)) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a = sinkhorn(scores, 0.1)
    assert a.labels.shape == (n,) and int(a.labels.min()) >= 0 and int(a.labels.max()) < k
    assert torch.isfinite(a.potentials).all() and a.error >= 0
    assert a.converged == (a.error <= 1e-2)


@pytest.mark.parametrize("shares", [(3000, 3000), (5999, 1), (6000, 0)])
def test_two_ranks_give_one_process_labels(shares, tmp_path):
    file = tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).with_name("two_ranks.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [*command, str(script), str(file), str(shares[0])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    parts = [np.load(f"{file}{rank}.npz") for rank in (0, 1)]
    source = items()
    alone = sinkhorn(source, 1 / 10, tol=1e-3)
    labels = np.concatenate([p["labels"] for p in parts])
    assert (labels == alone.labels.numpy()).mean() > 0.999
    assert np.array_equal(parts[0]["potentials"], parts[1]["potentials"])
    assert parts[0]["error"] <= 1e-3 and parts[0]["message"] == parts[1]["message"].item() != ""


def test_products_are_float32_and_leave_torchs_setting_as_it_was():
    source = items(n=900, k=300, d=64)
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    before = getattr(matmul, "fp32_precision", None)
    exact = source.features.double() @ source.weight.double().T + source.bias.double()
    assert float((source.product() - exact).abs().max()) < 2e-6 * float(exact.abs().max())
    assert getattr(matmul, "fp32_precision", None) == before
