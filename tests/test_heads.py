"""Heads side by side are the single heads that they stand for; k-means centres as heads."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from selflabel.heads import (
    Centres,
    LinearHeads,
    MLPHeads,
    Projector,
    Prototypes,
    centred_directions,
    momentum_update,
)

SIZES = [3, 5, 2]


def features(n=12, dim=6):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(0))


def test_linear_heads_are_single_linear_layers():
    heads, x = LinearHeads(6, SIZES, max_sizes=[4, 5, 4]), features()
    for h, scores in enumerate(heads(x)):
        weight, bias = heads.weight_and_bias(h)
        assert weight.shape == (SIZES[h], 6) and torch.allclose(scores, F.linear(x, weight, bias), atol=1e-6)


@pytest.mark.parametrize("cosine", [False, True])
def test_mlp_heads_are_single_networks_of_one_hidden_layer(cosine):
    heads, x = MLPHeads(6, SIZES, hidden=7, cosine=cosine).eval(), features()
    hidden = F.relu(heads.norm(heads.hidden(x))).view(12, 3, 7)
    for h, scores in enumerate(heads(x)):
        if cosine:
            plain = F.cosine_similarity(hidden[:, h, None], heads.weight[h, :, : SIZES[h]].T[None], dim=2)
        else:
            weight, bias = heads.weight_and_bias(h)
            plain = F.linear(hidden[:, h], weight, bias)
        assert torch.allclose(scores, plain, atol=1e-5)


def test_heads_may_change_their_sizes():
    for heads in (LinearHeads(6, [4, 4], [9, 9]), MLPHeads(6, [4, 4], max_sizes=[9, 9])):
        heads.head_sizes = [7, 4]
        assert [s.shape[1] for s in heads(features())] == [7, 4]


def test_dropout_acts_in_training_only():
    heads, x = MLPHeads(6, SIZES, dropout=0.5), features()
    assert not torch.equal(heads(x)[0], heads(x)[0])
    heads.eval()
    assert torch.equal(heads(x)[0], heads(x)[0])


def test_prototypes_give_cosines_and_can_be_frozen():
    prototypes, x = Prototypes(6, SIZES), F.normalize(features(), dim=1)
    assert all(s.abs().max() <= 1 + 1e-6 for s in prototypes(x))
    sum(s.sum() for s in prototypes(x.requires_grad_(), frozen=True)).backward()
    assert prototypes.weight.grad is None and x.grad is not None


def test_a_projector_has_two_layers():
    assert Projector(6, 8, 4)(features()).shape == (12, 4)


def test_a_momentum_copy_moves_a_little_and_copies_batch_statistics():
    fast, slow = (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)) for _ in range(2))
    fast(features() + 3)
    before = slow[0].weight.clone()
    momentum_update(slow, fast, 0.9)
    assert torch.allclose(slow[0].weight, 0.9 * before + 0.1 * fast[0].weight)
    assert torch.equal(slow[1].running_mean, fast[1].running_mean)


def test_directions_are_from_the_mean_at_unit_length():
    x = features() + 10
    directions = centred_directions(x, x.mean(dim=0))
    assert torch.allclose(directions.norm(dim=1), torch.ones(12)) and directions.mean() < 0.1


@pytest.mark.parametrize("directions", [False, True])
def test_centres_report_the_start_of_lowest_distance(directions, blobs):
    x, truth = blobs(n=90, k=3)
    centres = Centres(3, 8, starts=4, directions=directions)
    best = centres.fit(torch.from_numpy(x), seed=0)
    log_probs = centres(torch.from_numpy(x))
    assert len(log_probs) == 4 and torch.allclose(log_probs[best].exp().sum(dim=1), torch.ones(90), atol=1e-5)
    labels = log_probs[best].argmax(dim=1).numpy()
    assert len(set(zip(labels.tolist(), truth.tolist()))) == 3
    moved = centres.transform(torch.from_numpy(x))
    spread = [float(torch.cdist(moved, c).min(dim=1).values.square().mean()) for c in centres.centres_SKD]
    assert spread[best] == pytest.approx(min(spread)) and np.isfinite(spread).all()
