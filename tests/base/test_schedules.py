"""Lengths, learning rates and times of solves."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selflabel.base.schedules import constant, cosine, epochs_for_budget, one_cycle, scale_epochs, solve_times


def test_factors_start_and_end_where_they_say():
    assert cosine(0) == 1 and cosine(1) == pytest.approx(0) and constant(0.3) == 1
    assert one_cycle(0) == 0 and one_cycle(0.1) == 1 and one_cycle(1) == pytest.approx(0)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=4), st.integers(1, 800))
def test_scaled_epochs_have_at_least_one_each_and_miss_the_total_by_rounding_only(published, total):
    scaled = scale_epochs(published, total)
    assert len(scaled) == len(published) and min(scaled) >= 1
    assert sum(scaled) == total or total < 2 * sum(published)  # the floor of one epoch may exceed the total
    assert scale_epochs(published, None) == published


@given(st.integers(1, 10**6), st.integers(1, 10**7))
def test_a_budget_keeps_within_its_bounds_and_a_gpu_gets_more(n_items, views):
    epochs = epochs_for_budget(n_items, views, 4, 60)
    assert 4 <= epochs <= 60 and epochs <= epochs_for_budget(n_items, views, 4, 60, on_gpu=True)


def test_solves_are_denser_at_the_start_for_a_power_above_one():
    times = solve_times(400, 100, 2)
    assert len(times) == 99 and times[0] == 0 and all(a < b < 400 for a, b in pairwise(times))
    assert times[1] - times[0] < times[-1] - times[-2]
