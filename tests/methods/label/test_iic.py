"""IIC, held to the plain formula."""

import math

import numpy as np
import pytest
import torch

from selflabel.contract import Batch, Task
from selflabel.methods.label.iic import IIC, Options, information_loss
from tests.methods.label.helpers import FeatureData, identity_encoders, views_of
from tests.reference import clustering


def soft(n, k, seed):
    return torch.softmax(2 * torch.randn(n, k, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("lamb", [1.0, 1.5])
def test_the_loss_is_the_plain_one(lamb):
    p, q = soft(30, 4, 0), soft(30, 4, 1)
    assert float(information_loss(p, q, lamb)) == pytest.approx(clustering.mutual_information_loss(p, q, lamb), abs=1e-5)


def test_sure_equal_labels_have_the_most_information_and_one_label_has_none():
    sure = torch.eye(5).repeat(4, 1)
    assert float(information_loss(sure, sure)) == pytest.approx(-math.log(5), abs=1e-5)
    one = torch.eye(5)[torch.zeros(20, dtype=torch.long)]
    assert float(information_loss(one, one)) == pytest.approx(0, abs=1e-5)
    assert float(information_loss(sure, sure.roll(1, dims=0))) == pytest.approx(-math.log(5) + math.log(2), abs=1e-5)


def made(**options):
    method = IIC(Task(40, 3, "features", 0, 0), Options(**options))
    method.build(identity_encoders(6))
    return method


def test_the_two_heads_learn_in_turn():
    method, learned = made(over=4), []
    assert [k for heads in (method.heads, method.fine) for k in heads.head_sizes] == [3] * 5 + [12] * 5
    for _ in range(4):
        method.zero_grad(set_to_none=True)
        views = [torch.randn(8, 6), torch.randn(8, 6)]
        method.loss(Batch(torch.arange(8)[:, None], views_of(image=views), 0))["information"].backward()
        learned.append([n.split(".")[0] for n, p in method.named_parameters() if p.grad is not None])
        method.phases()[0].after_step()
    assert [names[0] for names in learned] == ["fine", "heads", "fine", "heads"] and all(len(set(n)) == 1 for n in learned)


@torch.no_grad()
def test_the_loss_of_a_batch_is_the_mean_over_sub_heads():
    method = made(over=0, lamb=1.0)
    views = [torch.randn(8, 6), torch.randn(8, 6)]
    found = method.loss(Batch(torch.arange(8)[:, None], views_of(image=views), 0))["information"]
    pairs = zip(method.heads(views[0]), method.heads(views[1]))
    plain = [clustering.mutual_information_loss(p.softmax(dim=1), q.softmax(dim=1)) for p, q in pairs]
    assert float(found) == pytest.approx(np.mean(plain), abs=1e-5)


@torch.no_grad()
def test_the_sub_head_of_least_loss_is_reported():
    method, truth = made(), torch.arange(40) % 3
    x = torch.cat([8.0 * torch.eye(3)[truth], torch.zeros(40, 3)], dim=1)
    weight = torch.zeros(method.heads.widest, 6)
    weight[:3, :3] = torch.eye(3)
    for h in range(5):
        method.heads.linear.weight[h * 3 : h * 3 + 3] = weight if h == 3 else 0.01 * weight
    method.heads.linear.bias.zero_()
    final = method.final(FeatureData(x), torch.Generator())
    assert final.head == 3 and torch.equal(final.labels[3], truth)
