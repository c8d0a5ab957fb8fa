import numpy as np
import pytest
import torch

from selflabel.assignment.neighbours import nearest
from selflabel.assignment.spectral import neighbour_graph, spectral_labels
from selflabel.evaluation.metrics import accuracy
from selflabel.methods.label.sela_nn import dense
from tests.assignment.test_spectral import uneven_blobs

SIZES = [200, 150, 100, 80]


def bridged_blobs(n_strewn: int) -> tuple[torch.Tensor, np.ndarray]:
    """Items of four classes, followed by items strewn between pairs of these; and the classes of the former."""
    x, truth = uneven_blobs(SIZES, distance=5.0)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(len(x), (n_strewn,), generator=generator) for _ in range(2))
    share = torch.rand(n_strewn, 1, generator=generator)
    return torch.cat([x, share * x[a] + (1 - share) * x[b]]), truth


def test_items_strewn_between_classes_do_not_lead_the_cuts_astray():
    x, truth = bridged_blobs(600)
    plain = spectral_labels(neighbour_graph(nearest(x, dense.NEIGHBOURS).rows), 4, 0)
    scores = [accuracy(truth, y[: len(truth)].numpy()) for y in [plain, *dense.dense_labellings(x, 4, 0)]]
    assert min(scores[1:]) > max(0.99, scores[0])


@pytest.mark.parametrize("most", [100, 300])
def test_items_beyond_those_that_are_cut_get_the_label_of_near_ones(most, monkeypatch):
    x, truth = uneven_blobs(SIZES, distance=5.0)
    monkeypatch.setattr(dense, "MOST_ITEMS", most)
    scores = [accuracy(truth, labels.numpy()) for labels in dense.dense_labellings(x, 4, 0)]
    assert min(scores) > 0.95


def test_equal_items_and_many_labels_are_no_obstacle():
    for labels in dense.dense_labellings(torch.ones(300, 3), 30, 0):
        assert labels.shape == (300,) and labels.min() >= 0 and labels.max() < 30
