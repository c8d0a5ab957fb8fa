"""Another number of clusters than was asked for is found where it is clear, and only there."""

import numpy as np
import pytest
import torch

from selflabel.evaluation.metrics import accuracy
from selflabel.methods.label.sela_nn import candidates, numbers


def blobs(n, k, spread):
    """(n, 8) features of k groups that take turns."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, 8))
    return torch.from_numpy((centres[np.arange(n) % k] + spread * rng.normal(size=(n, 8))).astype(np.float32))


@pytest.mark.parametrize(("asked", "found"), [(1, []), (3, [12]), (4, [12]), (10, []), (12, []), (16, []), (40, [12]), (400, [])])
def test_another_number_is_clear_only_far_from_the_true_one(asked, found):
    ranked = numbers.clearly_shown(blobs(480, 12, 0.1), asked, seed=0)
    assert [number for number, _ in ranked[:1]] == found


def test_features_without_clusters_show_no_number():
    assert numbers.clearly_shown(blobs(480, 1, 1.0), 5, seed=0) == numbers.clearly_shown(blobs(480, 1, 1.0), 30, seed=0) == []


def test_a_large_set_is_judged_by_a_sample_though_classes_take_turns(monkeypatch):
    monkeypatch.setattr(numbers, "FEW_ITEMS", 600)
    assert numbers.clearly_shown(blobs(2400, 12, 0.1), 4, seed=0)[0][0] == 12


def test_linkage_of_a_sample_finds_classes_that_take_turns(monkeypatch):
    monkeypatch.setattr(candidates, "MOST_LINKED", 600)
    labels = candidates.linkage_labels(blobs(2400, 12, 0.05).numpy(), 12, "ward").numpy()
    assert accuracy(np.arange(2400) % 12, labels) == 1
