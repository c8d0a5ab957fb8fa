"""The label-free merit, and the head that it chooses."""

import numpy as np
import pytest
import torch

from selflabel.assignment.merit import (
    HeadScore,
    best_head,
    joint_merit,
    mutual_information,
    neighbour_joint,
    neighbour_merit,
    pointwise_information,
    posterior_merit,
    score_head,
    size_discount,
)
from selflabel.assignment.neighbours import random_walk_ends
from tests.assignment.problems import random_scores


def plain_information(joint):
    joint = np.asarray(joint)
    outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    positive = joint > 0
    return float((joint[positive] * np.log(joint[positive] / outer[positive])).sum())


def same_class_pairs(n=200, k=4, count=3):
    """Labels (n,) of k classes, and for each item `count` others of its class."""
    return torch.arange(n) % k, (torch.arange(n)[:, None] + k * torch.arange(1, count + 1)) % n


# ------------------------------------------------------------------------------------------------------- labellings


def test_the_joint_counts_pairs_in_both_directions():
    joint = neighbour_joint(torch.tensor([0, 1, 1]), torch.tensor([[1], [2], [1]]), 2)
    assert torch.allclose(joint, torch.tensor([[0, 1], [1, 4]]).double() / 6)
    assert mutual_information(joint) == pytest.approx(plain_information(joint))


def test_the_merit_is_highest_for_the_classes_and_zero_for_a_collapse():
    truth, neighbours = same_class_pairs(400, 4, 5)
    assert neighbour_merit(truth, neighbours, 4) == pytest.approx(np.log(4))
    assert neighbour_merit(truth // 2, neighbours, 2) < neighbour_merit(truth, neighbours, 4)
    assert neighbour_merit(torch.zeros(400, dtype=torch.int64), neighbours, 4) == 0
    half = joint_merit(torch.tensor([[0.4, 0.1], [0.1, 0.4]]).double())
    information = plain_information([[0.4, 0.1], [0.1, 0.4]])
    assert half == pytest.approx(information * (information / np.log(2)) ** 2)


def test_labels_that_are_not_in_use_lower_the_merit_in_proportion():
    truth, neighbours = same_class_pairs()
    assert neighbour_merit(truth, neighbours, 8) == pytest.approx(neighbour_merit(truth, neighbours, 4) / 2)


# ------------------------------------------------------------------------------------------------------------ heads


def test_posteriors_that_are_sure_score_as_labels_and_unsure_ones_lower():
    generator = torch.Generator().manual_seed(0)
    labels, rows = torch.randint(3, (200,), generator=generator), torch.randint(200, (200, 4), generator=generator)
    sure = torch.nn.functional.one_hot(labels, 3).float()
    assert posterior_merit(sure, rows.int()) == pytest.approx(joint_merit(neighbour_joint(labels, rows, 3), power=1), rel=1e-6)
    truth, same = same_class_pairs()
    classes = torch.nn.functional.one_hot(truth, 4).float()
    split = torch.stack([classes[:, 0] / 2, classes[:, 0] / 2, classes[:, 1] + classes[:, 2], classes[:, 3]], dim=1)
    assert posterior_merit(classes, same.int()) == pytest.approx(np.log(4))
    assert posterior_merit(split, same.int()) < posterior_merit(classes, same.int())


def test_pointwise_information_equals_its_plain_formula():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(50, 4, generator=generator).softmax(dim=1)
    rows = torch.randint(50, (50, 3), generator=generator)
    sharp = (p**2 / (p**2).sum(dim=1, keepdim=True)).double()
    terms = []
    for i in range(50):
        for j in rows[i].tolist():
            both = sharp[i] * sharp[j]
            terms.append(both.sum() * (both**0.6 / sharp.mean(dim=0)).sum().log())
    assert pointwise_information(p, rows.int()) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-5)
    truth, same = same_class_pairs()
    right = torch.nn.functional.one_hot(truth, 4).float()
    unsure = (right + right.roll(1, dims=1)) / 2
    assert pointwise_information(right, same) == pytest.approx(np.log(4)) and pointwise_information(unsure, same) < np.log(4)


def heads_of(merits, relaxed, uneven=0.2, pointwise=0.0, labels=5):
    columns = [x if isinstance(x, list) else [x] * len(merits) for x in (merits, pointwise, uneven, labels, relaxed)]
    return [HeadScore(*row) for row in zip(*columns)]


def test_equal_sizes_are_reported_unless_unequal_ones_gain_more():
    ladder = [False, True, True, True]
    for merits, best in (([1.0, 1.05, 1.02, 0.9], 0), ([1.0, 1.05, 1.2, 0.9], 2), ([1.0, 1.0, 1.0, 1.0], 0)):
        assert best_head(heads_of(merits, ladder)) == best
    nearly = heads_of([1.0, 1.05, 1.02, 0.9], ladder, uneven=[0.0, 0.001, 0.2, 0.2])
    assert best_head(nearly) == 1  # relaxed but nearly equal: hardly any discount


def test_the_discount_grows_with_the_unevenness_to_a_tenth():
    assert [size_discount(u) for u in (0.0, 0.005, 1.0)] == pytest.approx([1.0, 0.9, 0.9])
    assert size_discount(0.0025) == pytest.approx(0.95)


def test_heads_of_fixed_masses_are_ranked_by_pointwise_information():
    merits, ladder = [1.0, 1.05, 1.0, 1.0, 0.98, 1.0], [False, True, True, True, False, True]
    assert best_head(heads_of(merits, ladder, pointwise=[0.5, 0.9, 0.0, 0.0, 0.7, 0.0])) == 4  # a relaxed head's does not count
    assert best_head(heads_of(merits, ladder, pointwise=[0.7, 0.9, 0.0, 0.0, 0.5, 0.0])) == 0


def test_heads_that_lost_a_label_are_left_out_where_it_was_requested_and_another_has_it():
    heads = heads_of([1.0, 1.5], [False, True], labels=[5, 4])
    assert best_head(heads) == 1 and best_head(heads, min_labels=5) == 0 and best_head(heads, min_labels=6) == 1


def test_a_head_is_scored_by_its_posteriors_and_the_sizes_of_its_labels():
    truth, same = same_class_pairs(count=8)
    posteriors = (3 * torch.nn.functional.one_hot(truth, 5) + random_scores(200, 5)).softmax(dim=1)
    score = score_head(posteriors, same.int(), truth, relaxed=True)
    assert score.merit == posterior_merit(posteriors, same.int()) and score.relaxed and score.n_labels == 4
    assert score.pointwise == pointwise_information(posteriors, same[:, :5]) != pointwise_information(posteriors, same)
    assert 0 < score.unevenness < np.log(5 / 4)  # four equal labels of five, with an item added to each


def test_the_reported_head_splits_no_large_class_to_merge_two_small_ones():
    """Neighbours prefer equal labels, which split a large class; the ends of walks do not."""
    sizes = [400, 200, 20, 20]
    right = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    x = torch.cat([torch.randn(len(right), 2, generator=torch.Generator().manual_seed(0)), 9 * torch.eye(4)[right]], dim=1)
    split = torch.where(right == 0, (x[:, 0] > 0).long(), torch.where(right == 1, 2, 3))
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(10, largest=False).indices
    assert neighbour_merit(split, near, 4) > neighbour_merit(right, near, 4)
    ends = random_walk_ends(near, 40, torch.Generator().manual_seed(0)).int()
    heads = [score_head(torch.nn.functional.one_hot(y, 4), ends, y, relaxed=True) for y in (split, right)]
    assert [head.n_labels for head in heads] == [4, 4] and heads[0].unevenness < heads[1].unevenness
    assert best_head(heads) == 1
