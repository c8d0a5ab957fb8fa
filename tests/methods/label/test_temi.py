"""TEMI's loss, held to the plain formula; its teacher and its fixed features."""

import pytest
import torch

from selflabel.contract import Batch, Task
from selflabel.methods.label.temi import TEMI, Options, pair_losses, pair_weights
from tests.methods.label.helpers import FeatureData, identity_encoders
from tests.reference import clustering


def test_the_weighted_loss_is_the_plain_one():
    student, teacher = (torch.randn(2, 3, 7, 4).log_softmax(dim=-1) for _ in range(2))
    shares = torch.rand(3, 4).softmax(dim=1)
    found = (pair_weights(teacher) * pair_losses(student, teacher, shares, 0.6)).mean()
    plain = clustering.temi_loss(student.exp().double().numpy(), teacher.exp().double().numpy(), shares.numpy(), 0.6)
    assert float(found) == pytest.approx(plain, abs=1e-4)


def test_a_label_that_nobody_uses_is_no_reward():
    sure = torch.tensor([[0.0, -200.0, -300.0]]).repeat(5, 1).log_softmax(dim=1).expand(2, 1, 5, 3)
    shares = sure.exp().mean(dim=(0, 2))
    assert float(pair_losses(sure, sure, shares, 0.6).mean()) == pytest.approx(0, abs=1e-4)


def made(n=60, epochs=None, **options):
    method = TEMI(Task(n, 3, "features", 0, 0, epochs=epochs), Options(heads=2, **options))
    method.build(identity_encoders(6))
    return method


def test_pairs_are_looked_up_and_the_teacher_follows():
    method, data = made(), FeatureData(torch.randn(60, 6))
    (phase,) = method.phases()
    assert phase.views == {} and phase.learns == ("heads",)
    phase.start(data, torch.Generator())
    phase.precompute(data)
    rows = phase.draw(0, torch.Generator().manual_seed(0))
    assert all(b in method.neighbours_Nk[a].tolist() for a, b in rows.tolist())
    before = method.teacher.weight.clone()
    phase.loss(Batch(rows[:16], {}, 0.0))["information"].backward()
    assert all(p.grad is not None for p in method.heads.parameters()) and method.teacher.weight.grad is None
    with torch.no_grad():
        method.heads.weight.add_(1.0)
    phase.after_step()
    assert torch.allclose(method.teacher.weight - before, torch.full_like(before, 1 - method.momentum), atol=1e-4)
    assert not torch.allclose(method.share_HK, torch.full((2, 3), 1 / 3))


def test_the_teacher_of_a_short_run_follows_faster():
    assert made(momentum=0.9).momentum == 0.9
    assert made(512, epochs=40_000).momentum == 0.996 > made(512, epochs=10).momentum
