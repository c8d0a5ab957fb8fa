import math

import numpy as np
import torch

from selflabel.contract import Texts


def texts():
    """Four items: a film of ten seconds that starts at second 5, one of the same captions, one without any, and a picture."""
    times = torch.tensor([[0, 2], [6, 7], [6.5, 9], [14, 16], [30, 31], [1, 2], [3, 4.0]]).double()
    clock = torch.tensor([[5, 10], [25, 10], [0, 10], [math.nan, math.nan]]).double()
    files = torch.tensor([0, 0, -1, 1])
    return Texts(torch.arange(7.0)[:, None], times, torch.tensor([0, 5, 7]), files, clock)


def bag(rows, span, most):
    places, is_there = texts().near(torch.tensor(rows), None if span is None else torch.tensor([span] * len(rows)), most)
    return [set(place[there].tolist()) for place, there in zip(places, is_there, strict=True)]


def test_a_bag_has_the_sentences_nearest_in_time_of_its_own_film():
    assert bag([0], [0.1, 0.2], 2) == [{1, 2}]  # seconds 6 to 7
    assert bag([0, 1], [0.85, 1.0], 2) == [{3, 2}, {4, 3}]  # seconds 13.5 to 15, and 33.5 to 35
    assert bag([0, 2, 1], [0.0, 1.0], 9) == [{0, 1, 2, 3, 4}, set(), {0, 1, 2, 3, 4}]
    assert [len(found) for found in bag([0, 2], [0.0, 1.0], 2)] == [2, 0]


def test_of_equally_near_sentences_some_are_drawn_and_where_seconds_are_unknown_all_are_equally_near():
    torch.manual_seed(0)
    during = [bag([0], [0.1, 0.25], 1)[0] for _ in range(40)]
    assert {frozenset(found) for found in during} == {frozenset({1}), frozenset({2})}
    assert {frozenset(bag([3], None, 1)[0]) for _ in range(40)} == {frozenset({5}), frozenset({6})}


def test_rows_that_are_taken_keep_their_own_sentences():
    taken = texts().take(np.array([3, 1]))
    places, is_there = taken.near(torch.tensor([0, 1]), torch.tensor([[0.0, 0.1]] * 2), 2)
    assert set(places[0][is_there[0]].tolist()) == {5, 6} and set(places[1].tolist()) == {3, 4} and taken.dim == 1
