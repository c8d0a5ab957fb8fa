"""CliqueCNN: cliques are compact, cover the items, and lie in batches of dissimilar ones."""

import math

import pytest
import torch
import torch.nn.functional as F

from selflabel.assignment.neighbours import nearest
from selflabel.contract import Batch, Task
from selflabel.methods.label.cliquecnn import CliqueCNN, Options, choose_cliques, compact_cliques, dissimilar_order
from tests.methods.label.helpers import FeatureData, identity_encoders, views_of


def blobs(n=90, k=3, d=8):
    g = torch.Generator().manual_seed(0)
    of = torch.arange(n) % k
    return F.normalize(6 * torch.eye(d)[of] + torch.randn(n, d, generator=g), dim=1), of


def test_a_clique_grows_by_the_item_whose_lowest_similarity_is_highest():
    x, of = blobs()
    near = nearest(x, 12).rows
    cliques = compact_cliques(x, near, 5, torch.arange(90))
    for seed, clique in enumerate(cliques.tolist()):
        plain = [seed]
        while len(plain) < 5:
            rest = [j for j in near[seed].tolist() if j not in plain]
            plain.append(max(rest, key=lambda j: min(float(x[j] @ x[i]) for i in plain)))
        assert clique == plain
    assert (of[cliques] == of[:, None]).float().mean() > 0.95


def test_seeds_lie_in_no_earlier_clique_and_cliques_share_few_items():
    x, _ = blobs()
    cliques = compact_cliques(x, nearest(x, 12).rows, 5, torch.arange(90))
    seeds = choose_cliques(cliques, 90, torch.Generator().manual_seed(0))
    for i, seed in enumerate(seeds.tolist()):
        earlier = set(cliques[seeds[:i]].flatten().tolist())
        assert seed not in earlier and len(earlier & set(cliques[seed].tolist())) <= 2  # of five
    assert len(set(cliques[seeds].flatten().tolist())) > 60
    assert len(choose_cliques(cliques, 4, torch.Generator())) == 4


def test_cliques_of_a_batch_are_dissimilar():
    centres, of = blobs(n=30, k=10, d=16)
    order = dissimilar_order(centres, 10, torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == list(range(30))
    assert len(set(of[order[:10]].tolist())) == 10  # one of each kind


def made():
    x, of = blobs()
    method = CliqueCNN(Task(90, 3, "features", 0, 0), Options(clique=5))
    method.build(identity_encoders(8))
    return method, FeatureData(x), of


@torch.no_grad()
def test_the_loss_compares_the_cliques_of_the_batch_only():
    method, data, _ = made()
    assert method.relabel(data, torch.Generator().manual_seed(0)).reset == ("head",)
    phase = method.phases()[0]
    rows = phase.draw(0, torch.Generator().manual_seed(0))
    assert rows.shape == (method.count, 5)
    method.head.linear.weight.zero_()
    method.head.linear.bias.zero_()
    batch = Batch(rows[:4], views_of(image=[data.features("image")[rows[:4].reshape(-1)]]), 0.0)
    assert float(method.loss(batch)["clique"]) == pytest.approx(math.log(4))
    cliques = method.clique_of_N[rows[:4, 0]].long()
    method.head.linear.bias[cliques[2]] = 50.0
    assert float(method.loss(batch)["clique"]) == pytest.approx(0.75 * 50, rel=1e-3)  # three of four cliques are wrong


@torch.no_grad()
def test_it_ends_with_k_means_of_the_features():
    method, data, of = made()
    final = method.final(data, torch.Generator())
    assert len(set(zip(of.tolist(), final.labels[final.head].tolist()))) == 3
