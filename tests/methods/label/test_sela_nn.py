import numpy as np
import pytest
import torch

from selflabel.assignment.merging import choose_n_clusters
from selflabel.base.settings import make_settings
from selflabel.contract import Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.label import label
from selflabel.methods.label.sela_nn import Options, SeLaNN
from selflabel.methods.label.sela_nn.exchange import swaps
from selflabel.methods.label.sela_nn.plans import has_pretext, plan_for
from tests.methods.label.helpers import identity_encoders


def labelled(x, k=None, **given):
    return label(make_settings(source="array", clusters=k, device="cpu", **given), None, data=x)


@pytest.mark.slow
def test_the_number_of_clusters_is_found_without_truth(blobs):
    for k in (3, 5):
        x, truth = blobs(n=400, k=k, d=8)
        report = labelled(x)
        assert report["n_clusters"] == k and report["clusters_chosen_by"] == "the method, without truth"
        assert accuracy(truth, report["labelling"].labels) > 0.98


@pytest.mark.slow
def test_unequal_classes_keep_their_sizes_unless_uniform_is_asked():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 60, 40])
    x = (5 * np.eye(6)[truth] + rng.normal(size=(400, 6))).astype(np.float32)
    relaxed, uniform = labelled(x, 3), labelled(x, 3, mass="uniform")
    assert accuracy(truth, relaxed["labelling"].labels) > 0.95
    assert relaxed["mass"] != "equal" == uniform["mass"] and uniform["relaxation"] == 0
    assert max(uniform["sizes"]) < 200 < max(relaxed["sizes"])


def test_the_jump_in_merging_losses_is_the_number_of_classes():
    losses = [[0.001] * 30 + [0.2, 0.25, 0.3, 0.35]]  # 35 labels: from 5 on every merge costs
    equal = [[0.3 / k for k in range(40, 10, -1)] + [1.3 / k for k in range(10, 1, -1)]]
    assert choose_n_clusters(equal) == 10
    assert choose_n_clusters(losses) == 5


def test_photographs_from_scratch_start_from_first_features_on_a_cpu_and_from_a_pretext_on_a_gpu():
    on_cpu, on_gpu = (Task(5000, 10, "photo", 64, 3, gpu=gpu) for gpu in (False, True))
    assert not has_pretext(on_cpu, Options()) and has_pretext(on_gpu, Options())
    assert has_pretext(on_cpu, Options(pretext="moco")) and not has_pretext(on_gpu, Options(pretext_epochs=0))
    assert plan_for(on_cpu, Options()).remine == 0 < plan_for(on_gpu, Options()).remine
    assert not has_pretext(Task(5000, 10, "photo", 64, 3, gpu=True, pretrained=True), Options())
    for options, phases in ((Options(pretext="moco"), ["pretext", "self-label"]), (Options(), ["self-label"])):
        method = SeLaNN(on_cpu, options)
        method.build(identity_encoders(6))
        assert [p.name for p in method.phases()] == phases


def test_photographs_from_scratch_on_a_gpu_have_large_batches_where_there_are_many_and_a_longer_pretext():
    for n_items, batch, epochs in ((50_000, 512, [120, 60]), (3_000, 128, [120, 60])):
        method = SeLaNN(Task(n_items, 10, "photo", 32, 3, gpu=True), Options())
        method.build(identity_encoders(6))
        pretext, labels = method.phases()
        assert (pretext.batch_size, labels.batch_size) == (2 * batch, batch) and [pretext.epochs, labels.epochs] == epochs
        assert labels.recipe.lr == 1e-3 * (batch / 128) ** 0.5


@pytest.mark.slow
def test_photographs_are_labelled_with_a_pretext_and_without():
    rng = np.random.default_rng(0)
    truth = np.arange(80) % 2
    x = rng.integers(0, 120, (80, 24, 24, 3)).astype(np.uint8)
    x[truth == 1, :, :, 0] += 120
    for options in ({}, {"pretext": "simclr"}):
        report = labelled(x, 2, epochs=4, options=options)
        assert report["encoder"] == "resnet9" and report["epochs"] == 4
        assert accuracy(truth, report["labelling"].labels) > 0.9


def test_smoothing_is_the_plain_average_over_neighbours():
    method = SeLaNN(Task(4, 2, "features", 0, 0), Options(smooth=1, neighbours=2))
    method.register_buffer("neighbours_Nk", torch.tensor([[1, 2], [0, 2], [0, 1], [0, 1]], dtype=torch.int32))
    x = torch.rand(4, 3)
    expected = torch.stack([(x[i] + x[a] + x[b]) / 3 for i, (a, b) in enumerate(method.neighbours_Nk.tolist())])
    assert torch.allclose(method.smooth(x), expected)


def test_heads_differ_in_relaxation_from_fixed_masses_to_nearly_free_ones():
    assert SeLaNN(Task(100, 5, "glyph", 28, 1), Options(heads=6)).relaxations()[:6] == [0.0, 0.1, 0.3, 0.6, 0.0, 0.1]
    assert set(SeLaNN(Task(100, 5, "glyph", 28, 1, mass="uniform"), Options(heads=6)).relaxations()) == {0.0}


def test_a_head_that_lost_a_label_is_not_reported(blobs):
    x, truth = blobs()  # 90 items and few steps: relaxed heads lose labels then
    for seed in range(3):
        assert accuracy(truth, labelled(x, 3, seed=seed, epochs=2)["labelling"].labels) == 1


def test_the_worst_heads_take_the_best_proposals_where_these_are_better():
    a, b, c = (torch.full((4,), i) for i in range(3))
    assert [(h, merit) for h, merit, _ in swaps([0.5, 0.1, 0.9], [(0.8, a), (0.4, b), (0.3, c)])] == [(1, 0.8)]
    assert [(h, merit) for h, merit, _ in swaps([0.2, 0.1, 0.9], [(0.8, a), (0.4, b), (0.3, c)])] == [(1, 0.8), (0, 0.4)]
    assert not swaps([0.5], [])


def test_heads_exchange_early_and_then_keep_their_labels(monkeypatch, blobs):
    """In the last label turns no proposal replaces a head's labels, because the head needs time to learn them."""
    x, _ = blobs(n=200, k=4, d=6)
    exchanged = []
    monkeypatch.setattr(SeLaNN, "proposals", lambda self: exchanged.append(self.turn) or [])
    report = labelled(x, 4, epochs=20)
    turns = report["epochs"]  # every epoch has one on features
    assert exchanged == [t for t in range(turns) if 2 < t < 0.6 * turns] and len(exchanged) > 5
