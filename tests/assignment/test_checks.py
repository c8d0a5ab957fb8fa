"""Wrong input is refused before anything is solved, with what is wrong and where."""

import math

import numpy as np
import pytest
import torch

from selflabel.assignment import LinearScores, sinkhorn
from selflabel.assignment.checks import blockwise_sum, check_finite, log_shares
from selflabel.assignment.scores import BLOCK_ENTRIES


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (torch.zeros(0, 3), {}, "empty"),
        (torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), {}, "row 1"),
        (torch.tensor([[0.0, float("inf")], [0.0, 0.0]]), {}, "row 0"),
        (torch.zeros(4, 2), {"mass": [0.5, -0.5]}, "positive"),
        (torch.zeros(4, 2), {"mass": [0.5, 0.6]}, "sum to 1"),
        (torch.zeros(4, 2), {"mass": [1.0]}, "2 labels"),
        (torch.zeros(4, 2), {"relax": 2.0}, "relax"),
        (torch.zeros(4, 2), {"epsilon": 0.0}, "epsilon"),
        (torch.zeros(4, 2), {"rounding": "up"}, "rounding"),
        (torch.zeros(2, 3), {"rounding": "exact"}, "an item for every label"),
        (torch.zeros(4, 2), {"rounding": "exact", "group": "any"}, "one process"),
    ],
)
def test_bad_input_is_named(scores, options, message):
    if "mass" in options:
        options = {"mass": torch.tensor(options["mass"])}
    with pytest.raises(ValueError, match=message):
        sinkhorn(scores, **options)


def test_a_row_of_features_that_is_not_finite_is_named_also_in_a_later_block():
    x = torch.zeros(BLOCK_ENTRIES // 4 + 10, 4)
    x[-3, 2] = torch.nan
    with pytest.raises(ValueError, match=f"row {len(x) - 3}"):
        check_finite([LinearScores(x, torch.ones(5, 4))])


def test_finite_scores_whose_sum_overflows_are_accepted():
    check_finite([torch.full((4, 4), 3e38)])


def test_half_precision_is_summed_in_float32():
    assert blockwise_sum(torch.full((1000, 100), 10.0, dtype=torch.float16)) == 1e6


def test_shares_are_logarithms_that_sum_to_one_exactly():
    assert np.array_equal(log_shares(None, 5), np.full(5, -math.log(5)))
    assert np.exp(log_shares(np.array([0.30001, 0.7]), 2)).sum() == pytest.approx(1, abs=1e-15)
