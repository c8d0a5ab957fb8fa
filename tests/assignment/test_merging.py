"""Merging loses exactly what it reports, and stops where it begins to cost."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selflabel.assignment.alignment import contingency, hungarian
from selflabel.assignment.merging import choose_n_clusters, merge_down, merge_labels, merge_losses, merge_pair, paired_sums
from selflabel.assignment.merit import mutual_information, neighbour_joint, neighbour_merit
from tests.assignment.test_merit import plain_information


def random_joint(seed, k):
    joint = torch.rand(k, k, generator=torch.Generator().manual_seed(seed)).double() ** 3
    joint = joint + joint.T + torch.eye(k).double()
    return joint / joint.sum()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 9))
def test_each_merge_loses_exactly_what_it_reports_and_the_least_there_is(seed, k):
    joint = random_joint(seed, k)
    assert mutual_information(joint) == pytest.approx(plain_information(joint))
    mapping, lost = merge_down(joint, k - 1)
    onto = torch.nn.functional.one_hot(mapping, k - 1).double()
    assert mutual_information(joint) - plain_information(onto.T @ joint @ onto) == pytest.approx(lost[0], abs=1e-9)
    for a in range(k):
        for b in range(a + 1, k):
            other = torch.arange(k)
            other[b] = a
            keep = torch.nn.functional.one_hot(other, k).double()
            assert mutual_information(joint) - plain_information(keep.T @ joint @ keep) >= lost[0] - 1e-9


def test_sums_are_updated_by_a_merge_as_if_computed_anew():
    joint = random_joint(3, 6)
    merged, sums = merge_pair(joint, paired_sums(joint), 1, 4)
    assert merged.shape == (5, 5) and merged.sum() == pytest.approx(1)
    assert torch.allclose(sums, paired_sums(merged)) and torch.isinf(merge_losses(merged, sums).diagonal()).all()


def four_classes():
    """Truth (400,), neighbours of the same class, and a labelling in which each class is split in three."""
    truth = torch.arange(400) % 4
    neighbours = torch.stack([(torch.arange(400) + 4 * j) % 400 for j in range(1, 6)], dim=1)
    return truth, neighbours, truth * 3 + torch.randint(3, (400,), generator=torch.Generator().manual_seed(0))


def agreement(truth, labels):
    table = contingency(truth.numpy(), labels.numpy())
    return table[hungarian(table)].sum()


def test_merging_split_classes_restores_them():
    truth, neighbours, fine = four_classes()
    mapping, _ = merge_down(neighbour_joint(fine, neighbours, 12), 4)
    assert agreement(truth, mapping[fine]) == 400


def test_a_merged_labelling_comes_with_its_merit():
    truth, neighbours, fine = four_classes()
    merit, labels = merge_labels(fine, neighbours, 12, 4)
    assert agreement(truth, labels) == 400 and merit == neighbour_merit(labels, neighbours, 4) == pytest.approx(np.log(4))


def test_the_jump_in_merging_losses_is_the_number_of_clusters():
    losses = [[0.001] * 30 + [0.2, 0.25, 0.3, 0.35]]  # 35 labels: from 5 on every merge costs
    equal = [[0.3 / k for k in range(40, 10, -1)] + [1.3 / k for k in range(10, 1, -1)]]
    assert choose_n_clusters(equal) == 10
    assert choose_n_clusters(losses) == 5
    assert choose_n_clusters([[0.1]]) == 2
