import numpy as np
import torch

from selflabel.assignment.merging import posterior_merit, where_merging_costs
from selflabel.assignment.neighbours import walked
from selflabel.evaluation.metrics import accuracy
from selflabel.labelling import label
from selflabel.methods.base import Task
from selflabel.methods.sela_nn import Options, SeLaNN, has_pretext, plan_of
from selflabel.settings import make_settings


def labelled(x, k=None, **given):
    return label(make_settings(source="array", clusters=k, device="cpu", **given), None, data=x)


def test_the_number_of_clusters_is_found_without_truth(blobs):
    for k in (3, 5):
        x, truth = blobs(n=400, k=k, d=8)
        report = labelled(x)
        assert report["n_clusters"] == k and report["clusters_chosen_by"] == "the method, without truth"
        assert accuracy(truth, report["labelling"].labels) > 0.98


def test_unequal_classes_keep_their_sizes_unless_uniform_is_asked():
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 60, 40])
    x = (5 * np.eye(6)[truth] + rng.normal(size=(400, 6))).astype(np.float32)
    relaxed, uniform = labelled(x, 3), labelled(x, 3, mass="uniform")
    assert accuracy(truth, relaxed["labelling"].labels) > 0.97
    assert "KL-relaxed" in relaxed["mass"] and "uniform" in uniform["mass"]
    assert max(uniform["sizes"]) < 200 < max(relaxed["sizes"])


def test_the_jump_in_merging_losses_is_the_number_of_classes():
    losses = [[0.001] * 30 + [0.2, 0.25, 0.3, 0.35]]  # 35 labels: from 5 on every merge costs
    equal = [[0.3 / k for k in range(40, 10, -1)] + [1.3 / k for k in range(10, 1, -1)]]
    assert where_merging_costs(equal) == 10
    assert where_merging_costs(losses) == 5


def test_photographs_from_nothing_start_from_patterns_on_a_cpu_and_from_a_contrast_on_a_gpu():
    on_cpu, on_gpu = (Task(5000, 10, "photo", 64, 3, gpu=gpu) for gpu in (False, True))
    assert not has_pretext(on_cpu, Options()) and has_pretext(on_gpu, Options())
    assert has_pretext(on_cpu, Options(pretext="moco")) and not has_pretext(on_gpu, Options(pretext_epochs=0))
    assert plan_of(on_cpu, Options()).remine == 0 < plan_of(on_gpu, Options()).remine
    assert not has_pretext(Task(5000, 10, "photo", 64, 3, gpu=True, pretrained=True), Options())
    assert [p.name for p in SeLaNN(on_cpu, Options(pretext="moco")).phases()] == ["pretext", "self-label"]
    assert [p.name for p in SeLaNN(on_cpu, Options()).phases()] == ["self-label"]


def test_photographs_are_labelled_with_a_contrast_and_without():
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
    assert torch.allclose(method.smoothed(x), expected)


def test_equal_sizes_are_reported_unless_unequal_ones_gain_more():
    method = SeLaNN(Task(100, 5, "glyph", 28, 1), Options(heads=4))
    assert method.relaxations()[:4] == [0.0, 0.1, 0.3, 0.6]
    for merits, best in (([1.0, 1.05, 1.02, 0.9], 0), ([1.0, 1.05, 1.2, 0.9], 2), ([1.0, 1.0, 1.0, 1.0], 0)):
        method.merits = merits
        assert method.best_head([0.0] * 4, [0.0, 0.2, 0.2, 0.2], range(4)) == best
    method.merits = [1.0, 1.05, 1.02, 0.9]  # loosened, and all but equal all the same: what is better is better
    assert method.best_head([0.0] * 4, [0.0, 0.001, 0.2, 0.2], range(4)) == 1


def test_heads_of_equal_masses_are_ranked_by_pointwise_information():
    method = SeLaNN(Task(100, 5, "glyph", 28, 1), Options(heads=6))
    assert [h for h, r in enumerate(method.relaxations()[:6]) if not r] == [0, 4]
    method.merits = [1.0, 1.05, 1.0, 1.0, 0.98, 1.0]
    assert method.best_head([0.5, 0.9, 0.0, 0.0, 0.7, 0.0], [0.2] * 6, range(6)) == 4  # whatever a loosened head has of it
    assert method.best_head([0.7, 0.9, 0.0, 0.0, 0.5, 0.0], [0.2] * 6, range(6)) == 0


def test_a_head_that_lost_a_label_is_not_reported(blobs):
    x, truth = blobs()  # 90 items, and hardly a step to learn from: what is relaxed then gives labels up
    for seed in range(3):
        assert accuracy(truth, labelled(x, 3, seed=seed, epochs=2)["labelling"].labels) == 1


def test_heads_exchange_early_and_then_keep_to_their_labels(monkeypatch, blobs):
    """In the last label turns a head learns its labels under the names they have, so no proposal replaces them."""
    x, _ = blobs(n=200, k=4, d=6)
    exchanged = []
    monkeypatch.setattr(SeLaNN, "exchange", lambda self: exchanged.append(self.turn))
    report = labelled(x, 4, epochs=20)
    turns = report["epochs"]  # of features every epoch has one
    assert exchanged == [t for t in range(turns) if 2 < t < 0.6 * turns] and len(exchanged) > 5


def test_the_reported_head_cuts_no_large_class_to_merge_two_small_ones():
    """Neighbours prefer equal labels, which cut a large class; at the ends of walks its halves tell nothing of each other."""
    sizes = [400, 200, 20, 20]
    right = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    x = torch.cat([torch.randn(len(right), 2, generator=torch.Generator().manual_seed(0)), 9 * torch.eye(4)[right]], dim=1)
    cut = torch.where(right == 0, (x[:, 0] > 0).long(), torch.where(right == 1, 2, 3))
    method = SeLaNN(Task(len(x), 4, "features", 0, 0), Options(heads=2, fine=(), neighbours=10, relax=(0.1,)))
    method.register_buffer("labels_HN", torch.stack([cut, right]).int())
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(10, largest=False).indices
    method.judge(near)
    by_neighbours = method.best_head([0.0, 0.0], [0.2, 0.2], range(2))
    ends = walked(near, 40, torch.Generator().manual_seed(0)).int()
    method.merits = [posterior_merit(torch.nn.functional.one_hot(y, 4), ends) for y in (cut, right)]
    assert (by_neighbours, method.best_head([0.0, 0.0], [0.2, 0.2], range(2))) == (0, 1)
