import numpy as np
import pytest
import torch

from selflabel.assignment.merit import (
    Judged,
    best_head,
    judged,
    merit_of,
    neighbour_joint,
    neighbour_merit,
    pointwise_information,
    posterior_merit,
)
from selflabel.assignment.neighbours import walked


def test_posteriors_that_are_sure_are_judged_as_labels_and_unsure_ones_tell_less():
    generator = torch.Generator().manual_seed(0)
    labels, rows = torch.randint(3, (200,), generator=generator), torch.randint(200, (200, 4), generator=generator)
    sure = torch.nn.functional.one_hot(labels, 3).float()
    assert posterior_merit(sure, rows.int()) == pytest.approx(merit_of(neighbour_joint(labels, rows, 3), power=1), rel=1e-6)
    truth, same = torch.arange(200) % 4, (torch.arange(200)[:, None] + 4 * torch.arange(1, 4)) % 200
    of_classes = torch.nn.functional.one_hot(truth, 4).float()
    cut = torch.stack([of_classes[:, 0] / 2, of_classes[:, 0] / 2, of_classes[:, 1] + of_classes[:, 2], of_classes[:, 3]], dim=1)
    assert posterior_merit(of_classes, same.int()) == pytest.approx(np.log(4))
    assert posterior_merit(cut, same.int()) < posterior_merit(of_classes, same.int())


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
    truth, same = torch.arange(200) % 4, (torch.arange(200)[:, None] + 4 * torch.arange(1, 4)) % 200
    right = torch.nn.functional.one_hot(truth, 4).float()
    unsure = (right + right.roll(1, dims=1)) / 2
    assert pointwise_information(right, same) == pytest.approx(np.log(4)) and pointwise_information(unsure, same) < np.log(4)


def heads_of(merits, loosened, uneven=0.2, pointwise=0.0, labels=5):
    columns = [x if isinstance(x, list) else [x] * len(merits) for x in (merits, pointwise, uneven, labels, loosened)]
    return [Judged(*row) for row in zip(*columns)]


def test_equal_sizes_are_reported_unless_unequal_ones_gain_more():
    ladder = [False, True, True, True]
    for merits, best in (([1.0, 1.05, 1.02, 0.9], 0), ([1.0, 1.05, 1.2, 0.9], 2), ([1.0, 1.0, 1.0, 1.0], 0)):
        assert best_head(heads_of(merits, ladder)) == best
    nearly = heads_of([1.0, 1.05, 1.02, 0.9], ladder, uneven=[0.0, 0.001, 0.2, 0.2])
    assert best_head(nearly) == 1  # loosened, and all but equal all the same: what is better is better


def test_heads_of_equal_masses_are_ranked_by_pointwise_information():
    merits, ladder = [1.0, 1.05, 1.0, 1.0, 0.98, 1.0], [False, True, True, True, False, True]
    assert (
        best_head(heads_of(merits, ladder, pointwise=[0.5, 0.9, 0.0, 0.0, 0.7, 0.0])) == 4
    )  # whatever a loosened head has of it
    assert best_head(heads_of(merits, ladder, pointwise=[0.7, 0.9, 0.0, 0.0, 0.5, 0.0])) == 0


def test_heads_that_lost_a_label_are_left_out_where_it_was_asked_for_and_another_has_it():
    heads = heads_of([1.0, 1.5], [False, True], labels=[5, 4])
    assert best_head(heads) == 1 and best_head(heads, fewest=5) == 0 and best_head(heads, fewest=6) == 1


def test_the_reported_head_cuts_no_large_class_to_merge_two_small_ones():
    """Neighbours prefer equal labels, which cut a large class; at the ends of walks its halves tell nothing of each other."""
    sizes = [400, 200, 20, 20]
    right = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    x = torch.cat([torch.randn(len(right), 2, generator=torch.Generator().manual_seed(0)), 9 * torch.eye(4)[right]], dim=1)
    cut = torch.where(right == 0, (x[:, 0] > 0).long(), torch.where(right == 1, 2, 3))
    near = torch.cdist(x, x).fill_diagonal_(torch.inf).topk(10, largest=False).indices
    assert neighbour_merit(cut, near, 4) > neighbour_merit(right, near, 4)
    ends = walked(near, 40, torch.Generator().manual_seed(0)).int()
    heads = [judged(torch.nn.functional.one_hot(y, 4), ends, y, loosened=True) for y in (cut, right)]
    assert [head.labels for head in heads] == [4, 4] and heads[0].uneven < heads[1].uneven
    assert best_head(heads) == 1
