"""DeepCluster and its second version, held to the plain formulas."""

import numpy as np
import pytest
import torch

from selflabel.assignment.kmeans import whiten, whitening
from selflabel.base.settings import make_settings
from selflabel.contract import Batch, Task
from selflabel.evaluation.metrics import accuracy
from selflabel.jobs.label import label
from selflabel.methods.label.deepcluster import DeepCluster, Options, uniform_over_clusters
from tests.methods.label.helpers import FeatureData, identity_encoders, views_of
from tests.reference import clustering


def made(n=60, dim=6, clusters=3, **options):
    method = DeepCluster(Task(n, clusters, "features", 0, 0), Options(**options))
    method.build(identity_encoders(dim))
    return method


def test_whitening_is_the_plain_one():
    x = torch.randn(80, 7) @ torch.randn(7, 7) + 3
    for most in (4, 7, 20):
        mine = whiten(x, *whitening(x, most)).double().numpy()
        plain = clustering.whiten(x, most)
        assert np.allclose(mine @ mine.T, plain @ plain.T, atol=1e-3)  # directions have no sign


def test_whitening_gives_directions_without_variance_none():
    x = torch.cat([torch.randn(30, 2), torch.ones(30, 3)], dim=1)
    seen = (x - whitening(x)[0]) @ whitening(x)[1]
    assert torch.allclose(seen.square().mean(dim=0), torch.tensor([1.0, 1, 0, 0, 0]), atol=1e-3)


def test_every_cluster_is_drawn_as_often():
    clusters = torch.tensor([0] * 900 + [3] * 90 + [7] * 10)
    rows = uniform_over_clusters(clusters, torch.Generator().manual_seed(0))
    counts = [int((clusters[rows] == c).sum()) for c in (0, 3, 7)]
    assert len(rows) == 1000 and max(counts) - min(counts) <= 1
    assert len(set(rows[clusters[rows] == 0].tolist())) == counts[0]  # none of the large cluster twice
    assert set(rows[clusters[rows] == 7].tolist()) == set(range(990, 1000))  # all of the small one


@torch.no_grad()
def test_the_first_versions_loss_is_cross_entropy_of_the_head():
    method, x = made(over=1), torch.randn(60, 6)
    method.relabel(FeatureData(x), torch.Generator())
    scores = method.head(x[:10])[0]
    plain = np.mean([clustering.cross_entropy(s.tolist(), int(c)) for s, c in zip(scores, method.clusters_HN[0])])
    assert float(method.loss(Batch(torch.arange(10)[:, None], views_of(image=[x[:10]]), 0))["cluster"]) == pytest.approx(
        plain, rel=1e-4
    )


@torch.no_grad()
def test_the_second_versions_heads_are_the_centres_at_a_temperature():
    method, x = made(over=2, version=2).eval(), torch.randn(60, 6)
    method.relabel(FeatureData(x), torch.Generator())
    z = method.clustering_input(x)
    assert torch.allclose(z.norm(dim=1), torch.ones(60)) and len(method.clusters_HN) == 3
    nearest = (z @ method.centres_HKD[1].T).argmax(dim=1)
    assert (nearest == method.clusters_HN[1]).float().mean() > 0.95
    plain = [
        clustering.cross_entropy(((z[i] @ centres.T) / 0.1).tolist(), int(clusters[i]))
        for centres, clusters in zip(method.centres_HKD, method.clusters_HN)
        for i in range(8)
    ]
    found = method.loss(Batch(torch.arange(8)[:, None], views_of(image=[x[:8]]), 0))["cluster"]
    assert float(found) == pytest.approx(np.mean(plain), rel=1e-3)


@torch.no_grad()
def test_a_round_initialises_the_head_again():
    method, x = made(over=1), torch.randn(60, 6)
    before = method.head.linear.weight.clone()
    assert method.relabel(FeatureData(x), torch.Generator()).reset == ("head",)
    assert not torch.equal(method.head.linear.weight, before)


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_label_blobs(version, blobs):
    x, truth = blobs()
    settings = make_settings(
        source="array", clusters=3, method="deepcluster", options={"version": version}, device="cpu", epochs=10
    )
    assert accuracy(truth, label(settings, None, data=x)["labelling"].labels) > 0.95
