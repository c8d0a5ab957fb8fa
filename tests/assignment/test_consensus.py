import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from selflabel.assignment import consensus
from selflabel.assignment.consensus import consensus_directions
from selflabel.assignment.spectral import cluster_qr


def random_labellings(n=60, k=4):
    generator = torch.Generator().manual_seed(0)
    rows = torch.stack([torch.randperm(n, generator=generator)[:k] for _ in range(n)])
    return [torch.randint(K, (n,), generator=generator) for K in (3, 5, 5)], rows


def dense_agreement(labellings, rows):
    """(N, N) sum over labellings of the cosine of the labels' shares around two items."""
    around = torch.cat([torch.arange(len(rows))[:, None], rows], dim=1)
    shares = [F.normalize(F.one_hot(labels).double()[around].sum(dim=1), dim=1) for labels in labellings]
    return sum(s @ s.T for s in shares).numpy()


@pytest.mark.parametrize("many_labels", [False, True])
def test_directions_are_the_leading_eigenvectors_of_the_walk_by_agreement(many_labels, monkeypatch):
    monkeypatch.setattr(consensus, "is_large", lambda L, count: many_labels)
    labellings, rows = random_labellings()
    agreement = dense_agreement(labellings, rows)
    degree = agreement.sum(axis=1)
    vectors = scipy.linalg.eigh(agreement / np.sqrt(np.outer(degree, degree)))[1][:, ::-1][:, :6]
    found = consensus_directions(labellings, rows, 6) * np.sqrt(degree)[:, None]
    assert np.allclose(np.abs((found * vectors).sum(axis=0)), 1, atol=1e-4)


def test_labellings_that_all_agree_are_their_own_consensus():
    labels = torch.arange(40) // 10
    rows = (torch.arange(40)[:, None] // 10 * 10 + torch.arange(10)) % 40  # the items of the same label
    found = cluster_qr(consensus_directions([labels, (labels + 1) % 4], rows, 4))
    assert all(len(found[labels == k].unique()) == 1 for k in range(4)) and len(found.unique()) == 4


def test_fewer_directions_than_asked_for_are_filled_with_zeros():
    labels = torch.arange(12) % 2
    directions = consensus_directions([labels], torch.arange(12)[:, None], 4)
    assert directions.shape == (12, 4) and np.isfinite(directions).all() and np.allclose(directions[:, 2:], 0)
    assert len(cluster_qr(directions).unique()) >= 2
