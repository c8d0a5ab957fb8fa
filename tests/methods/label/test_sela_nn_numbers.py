"""Another number of clusters than was asked for is found where it is clear, and only there."""

import numpy as np
import pytest
import torch

from selflabel.assignment.neighbours import nearest
from selflabel.methods.label.sela_nn import numbers


def blobs(n, k, spread):
    """(n, 8) features of k groups that take turns, and their neighbours."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, 8))
    x = torch.from_numpy((centres[np.arange(n) % k] + spread * rng.normal(size=(n, 8))).astype(np.float32))
    return x, nearest(x, 10).rows.int()


@pytest.mark.parametrize(("asked", "found"), [(1, []), (3, [12]), (4, [12]), (10, []), (12, []), (16, []), (40, [12]), (400, [])])
def test_another_number_is_clear_only_far_from_the_true_one(asked, found):
    ranked = numbers.clearly_shown(*blobs(480, 12, 0.1), asked, seed=0)
    assert [number for number, _ in ranked[:1]] == found


def test_features_without_clusters_show_no_number():
    assert numbers.clearly_shown(*blobs(480, 1, 1.0), 5, seed=0) == numbers.clearly_shown(*blobs(480, 1, 1.0), 30, seed=0) == []


def test_a_large_set_is_judged_by_a_sample(monkeypatch):
    monkeypatch.setattr(numbers, "SAMPLE", 300)
    x, _ = blobs(1200, 12, 0.1)
    assert numbers.clearly_shown(x, torch.zeros(1200, 10, dtype=torch.int32), 4, seed=0)[0][0] == 12
