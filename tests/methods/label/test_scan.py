"""SCAN's losses, held to the plain formulas, and its three phases."""

import numpy as np
import pytest
import torch

from selflabel.base.settings import make_settings
from selflabel.contract import Batch, Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.label import label
from selflabel.methods.label.scan import SCAN, Options, confident_loss, neighbour_loss
from tests.methods.label.helpers import identity_encoders, views_of
from tests.reference import clustering


def scores(n, k, seed, scale=3.0):
    return scale * torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


def test_the_neighbour_loss_is_the_plain_one():
    p, q = scores(30, 4, 0).softmax(dim=1), scores(30, 4, 1).softmax(dim=1)
    assert float(sum(neighbour_loss(p, q, 5.0))) == pytest.approx(clustering.scan_loss(p, q, 5.0), abs=1e-4)


@pytest.mark.parametrize("sure", [0.5, 0.99])
def test_the_loss_of_confident_labels_is_the_plain_formula(sure):
    plain, strong = scores(60, 4, 0, 4.0), scores(60, 4, 1)
    expected = clustering.sure_loss(plain.tolist(), strong.tolist(), sure)
    assert expected > 0 and float(confident_loss(plain, strong, sure)) == pytest.approx(expected, abs=1e-4)


def test_without_confident_labels_nothing_is_learned():
    strong = scores(10, 4, 0).requires_grad_()
    loss = confident_loss(torch.zeros(10, 4), strong, 0.99)
    loss.backward()
    assert float(loss.detach()) == 0 and not strong.grad.any()


def made(kind="features", **given):
    method = SCAN(Task(20, 3, kind, 0, 0, **given), Options(heads=2, neighbours=3))
    method.build(identity_encoders(4))
    return method


def test_the_pretext_is_left_out_where_features_are_given_or_pretrained():
    assert [p.name for p in made("photo").phases()] == ["pretext", "heads", "cluster", "self-label"]
    assert (
        [p.name for p in made().phases()]
        == [p.name for p in made("photo", pretrained=True).phases()]
        == ["cluster", "self-label"]
    )
    assert [p.epochs for p in made("photo", preset="paper").phases()] == [500, 50, 200]


def test_the_second_phase_draws_an_item_and_one_of_its_neighbours():
    method = made()
    method.neighbours_Nk = torch.stack([torch.arange(20).roll(-s) for s in (1, 2, 3)], dim=1).int()
    cluster, last = method.phases()
    rows = cluster.draw(0, torch.Generator().manual_seed(0))
    assert sorted(rows[:, 0].tolist()) == list(range(20))
    assert set(((rows[:, 1] - rows[:, 0]) % 20).tolist()) == {1, 2, 3}
    assert last.draw is None  # every item once


@torch.no_grad()
def test_a_batch_of_pairs_gives_the_plain_loss():
    method, x = made(), scores(12, 4, 0)
    losses = method.phases()[0].loss(Batch(torch.arange(12).view(6, 2), views_of(image=[x]), 0))
    soft = [s.softmax(dim=1) for s in method.heads(x)]
    plain = np.mean([clustering.scan_loss(p[::2], p[1::2], 5.0) for p in soft])
    assert float(sum(losses.values())) == pytest.approx(plain, abs=1e-4)


@pytest.mark.slow
def test_all_three_phases_label_signs(signs):
    x, truth = signs(160)
    settings = make_settings(source="array", clusters=2, method="scan", device="cpu", epochs=45)
    report = label(settings, None, data=x)
    assert accuracy(truth, report["labelling"].labels) > 0.95
    assert report["losses"][report["head"]] == min(report["losses"])
