import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.cluster import _spectral

from selflabel.assignment import spectral
from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import cluster_qr, neighbour_graph, spectral_directions, spectral_labels
from selflabel.evaluation.metrics import accuracy


def uneven_blobs(sizes, distance=6.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    x = distance * np.eye(len(sizes))[truth] + rng.normal(size=(len(truth), len(sizes)))
    return torch.from_numpy(x.astype(np.float32)), truth


def graph_of(x, k=10):
    return neighbour_graph(nearest(x, k).rows)


def test_the_graph_is_the_mean_of_both_directions():
    rows, weights = torch.tensor([[1, 2], [0, 2], [1, 0]]), torch.tensor([[1.0, 0.5], [1.0, 0.0], [0.25, 0.75]])
    dense = neighbour_graph(rows, weights).toarray()
    plain = np.array([[0, 1, 0.625], [1, 0, 0.125], [0.625, 0.125, 0]]) + 1e-3 * np.eye(3)
    assert np.allclose(dense, plain)


def test_directions_span_the_leading_eigenvectors_of_the_random_walk():
    graph = graph_of(uneven_blobs([120, 60, 20], distance=3.0)[0])
    degree = np.asarray(graph.sum(axis=1)).ravel()
    symmetric = graph.toarray() / np.sqrt(np.outer(degree, degree))
    vectors = scipy.linalg.eigh(symmetric)[1][:, ::-1][:, :4]
    found = spectral_directions(graph, 4, n_iter=400) * np.sqrt(degree)[:, None]
    cosines = np.abs((found * vectors).sum(axis=0)) / np.linalg.norm(found, axis=0)
    assert cosines.min() > 0.999


def test_polynomials_of_large_graphs_span_the_leading_eigenvectors_better(monkeypatch):
    graph = graph_of(uneven_blobs([300, 150, 100, 50], distance=4.0)[0])
    degree = np.asarray(graph.sum(axis=1)).ravel()
    vectors = scipy.linalg.eigh(graph.toarray() / np.sqrt(np.outer(degree, degree)))[1][:, ::-1][:, :4]
    missed = []
    for limit in (1000, 100):
        monkeypatch.setattr(spectral, "LARGE_GRAPH", limit)
        monkeypatch.setattr(spectral, "LARGE_DIRECTIONS", 0)
        found = spectral_directions(graph, 4) * np.sqrt(degree)[:, None]
        assert np.allclose(found.T @ found, np.eye(4), atol=1e-4)
        missed.append(1 - np.linalg.norm(vectors.T @ found, axis=0).min())
    assert missed[1] < 1e-4 and missed[1] < missed[0]


def test_pivots_in_a_sample_find_the_same_classes(monkeypatch):
    directions = spectral_directions(graph_of(uneven_blobs([800, 500, 300, 200])[0]), 4)
    whole = cluster_qr(directions)
    monkeypatch.setattr(spectral, "LARGE_GRAPH", 100)
    monkeypatch.setattr(spectral, "LARGE_DIRECTIONS", 0)
    assert accuracy(whole.numpy(), cluster_qr(directions).numpy()) > 0.99


def test_labels_are_those_of_scikit_learns_qr():
    directions = spectral_directions(graph_of(uneven_blobs([80, 50, 30, 20], distance=3.0)[0]), 4)
    assert accuracy(_spectral.cluster_qr(directions.astype(np.float64)), cluster_qr(directions).numpy()) == 1


@pytest.mark.parametrize("sizes", [[200, 50, 20, 12], [60, 60, 60]])
def test_classes_of_any_sizes_are_found(sizes):
    x, truth = uneven_blobs(sizes)
    assert accuracy(truth, spectral_labels(graph_of(x), len(sizes)).numpy()) > 0.98


def test_the_same_graph_gives_the_same_labels_whatever_is_scaled():
    graph = graph_of(uneven_blobs([80, 40, 20], distance=3.0)[0])
    assert torch.equal(spectral_labels(graph, 3), spectral_labels(3 * graph, 3))


def test_items_whose_edges_all_weigh_nothing_get_labels_all_the_same():
    rows = nearest(uneven_blobs([40, 30])[0], 5).rows
    weights = torch.ones(rows.shape)
    weights[:3] = 0
    weights[torch.isin(rows, torch.arange(3))] = 0
    assert sorted(spectral_labels(neighbour_graph(rows, weights), 5).unique().tolist()) == [0, 1, 2, 3, 4]
