"""Random numbers that belong to an item, not to a batch, a rank or an order."""

import numpy as np
import torch

from selflabel.views import bernoulli, key_of, uniforms


def test_draws_belong_to_the_item_not_to_its_batch():
    rows = torch.arange(50)
    whole = uniforms(key_of(1, 2), rows, 9)
    assert torch.equal(uniforms(key_of(1, 2), rows[[7, 3]], 9), whole[[7, 3]])
    assert not torch.equal(uniforms(key_of(1, 3), rows, 9), whole)


def test_draws_are_uniform_and_independent():
    u = uniforms(key_of(0), torch.arange(20_000), 6).numpy()
    assert u.min() >= 0 and u.max() < 1
    assert np.abs(u.mean(0) - 0.5).max() < 0.01
    assert np.abs(u.var(0) - 1 / 12).max() < 0.005
    assert np.abs(np.corrcoef(u.T) - np.eye(6)).max() < 0.03
    assert np.abs(np.corrcoef(u[1:, 0], u[:-1, 0])[0, 1]) < 0.03


def test_probabilities_are_met_and_belong_to_the_item():
    x = bernoulli(key_of(4), torch.arange(200), 501, 0.9)
    assert x.dtype == torch.bool and abs(float(x.float().mean()) - 0.9) < 0.005
    assert torch.equal(bernoulli(key_of(4), torch.tensor([17]), 501, 0.9), x[17:18])
