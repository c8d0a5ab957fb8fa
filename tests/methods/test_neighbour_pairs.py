"""Neighbours and pairs of neighbours."""

import torch

from selflabel.assignment.neighbours import nearest
from selflabel.methods.neighbour_pairs import draw_pairs, empty_neighbours, find_neighbours


def test_every_item_comes_once_a_pass_with_one_of_its_neighbours():
    neighbours = find_neighbours(torch.randn(60, 5), empty_neighbours(60, 4))
    pairs = draw_pairs(neighbours, torch.Generator().manual_seed(0), passes=3)
    assert pairs.shape == (180, 2)
    assert all(sorted(part.tolist()) == list(range(60)) for part in pairs[:, 0].split(60))
    assert all(b in neighbours[a].tolist() for a, b in pairs.tolist())
    assert not torch.equal(pairs[:60, 0], pairs[60:120, 0])


def test_a_single_item_comes_twice():
    neighbours = find_neighbours(torch.ones(1, 5), empty_neighbours(1, 4))
    assert draw_pairs(neighbours, torch.Generator()).tolist() == [[0, 0], [0, 0]]


def test_neighbours_are_the_nearest_and_at_most_a_tenth_of_the_items():
    x = torch.randn(60, 5)
    assert [empty_neighbours(n, 20).shape for n in (5, 60, 500)] == [(5, 1), (60, 6), (500, 20)]
    found = find_neighbours(x, empty_neighbours(60, 4))
    assert found.dtype == torch.int32 and torch.equal(found.long(), nearest(x, 4).rows.long())
