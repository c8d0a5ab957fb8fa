"""TURTLE's two levels, held to autograd, to torch's Adam and to the plain formula."""

import pytest
import torch
import torch.nn.functional as F

from selflabel.contract import Batch, Task
from selflabel.methods.label.turtle import Labellings, Options, Turtle, adam_step, labelling_losses, probe_gradient
from tests.methods.label.helpers import FeatureData, identity_encoders
from tests.reference import clustering


def test_the_outer_loss_is_the_plain_one():
    scores, probe = torch.randn(2, 9, 4), torch.randn(2, 9, 4)
    for h, found in enumerate(labelling_losses(scores, probe, 10.0)):
        assert float(found) == pytest.approx(clustering.turtle_loss(scores[h], probe[h], 10.0), abs=1e-4)


def test_the_inner_steps_are_torchs_adam_on_cross_entropy():
    torch.manual_seed(0)
    x, soft = torch.randn(20, 5), torch.randn(3, 20, 4).softmax(dim=-1)
    theirs = torch.zeros(3, 5, 4, requires_grad=True)
    mine, moments, optimiser = torch.zeros(3, 5, 4), torch.zeros(2, 3, 5, 4), torch.optim.Adam([theirs], lr=0.01)
    for step in range(1, 8):
        loss = -(soft * F.log_softmax(x @ theirs, dim=-1)).sum(dim=-1).mean(dim=-1).sum()
        optimiser.zero_grad()
        loss.backward()
        gradient = probe_gradient(mine, x, soft)
        assert torch.allclose(gradient, theirs.grad, atol=1e-5)
        optimiser.step()
        adam_step(mine, gradient, moments, step, 0.01)
    assert torch.allclose(mine, theirs.detach(), atol=1e-4)


def test_weight_norm_learns_length_apart_from_direction():
    heads, x = Labellings(6, 3, 2), torch.randn(5, 6)
    plain = torch.stack([x @ w + b for w, b in zip(heads.direction_HDK, heads.bias_HK)])
    assert torch.allclose(heads(x), plain, atol=1e-5)
    with torch.no_grad():
        heads.direction_HDK.mul_(3.0)
    assert torch.allclose(heads(x), plain, atol=1e-5)


def test_a_step_trains_the_probe_and_scores_the_labelling_by_it():
    method, x = Turtle(Task(30, 3, "features", 0, 0), Options(heads=2)), torch.randn(30, 6) * 4 + 1
    method.build(identity_encoders(6))
    (phase,) = method.phases()
    phase.start(FeatureData(x), torch.Generator())
    phase.precompute(FeatureData(x))
    assert torch.allclose(method.features_ND.mean(dim=0), torch.zeros(6), atol=1e-5)
    assert float(method.features_ND.square().mean()) == pytest.approx(1, abs=1e-4)
    assert len(phase.draw(0, torch.Generator())) == 300  # ten steps an epoch at least
    loss = phase.loss(Batch(torch.arange(30)[:, None], {}, 0.0))["labelling"]
    assert method.inner_steps == 10 and method.probe_HDK.any() and not method.probe_HDK.requires_grad
    x = method.features_ND
    plain = [clustering.turtle_loss(s.detach(), p, 10.0) for s, p in zip(method.heads(x), method.probe_scores(x))]
    assert float(loss) == pytest.approx(sum(plain) / 2, abs=1e-4)
