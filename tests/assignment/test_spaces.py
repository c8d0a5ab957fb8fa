"""Shares of feature spaces: found without truth, so that a weak space does not spoil a good one."""

import pytest
import torch

from selflabel.assignment.spaces import FEWEST, space_shares, space_weights

N, K = 400, 4


@pytest.fixture
def spaces():
    """Spaces of 400 items in four groups: all apart, only pairs of groups apart, a curve without groups, and noise."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(N) % K
    angle = torch.rand(N, generator=g) * 6.28
    noise = torch.randn(N, 40, generator=g)
    return {
        "all": 5 * torch.eye(20)[y] + noise[:, :20],
        "first": 5 * torch.eye(20)[y // 2] + noise[:, 20:],
        "second": 5 * torch.eye(20)[y % 2] + torch.randn(N, 20, generator=g),
        "curve": torch.stack([angle.cos(), angle.sin()], dim=1) + 0.02 * torch.randn(N, 2, generator=g),
        "noise": torch.randn(N, 20, generator=g),
    }


@pytest.mark.parametrize("weak", ["curve", "noise"])
def test_a_space_without_groups_is_left_out_wherever_it_stands(spaces, weak):
    assert space_shares([spaces["all"], spaces[weak]], K, 0) == [1, 0]
    assert space_shares([spaces[weak], spaces["all"]], K, 0) == [0, 1]


def test_spaces_that_tell_different_groups_apart_both_count(spaces):
    shares = space_shares([spaces["first"], spaces["noise"], spaces["second"]], K, 0)
    assert min(shares[0], shares[2]) >= 0.25 and shares[1] == 0 and sum(shares) == pytest.approx(1)


def test_weights_do_not_depend_on_the_scale_of_a_space_and_few_items_count_alike(spaces):
    two = [spaces["first"], spaces["second"]]
    shares = space_shares(two, K, 0)
    assert space_shares([1000 * two[0] + 7, two[1]], K, 0) == shares
    assert space_weights([1000 * two[0] + 7, two[1]], shares) == pytest.approx(space_weights(two, shares), rel=1e-3)
    assert space_shares([x[: FEWEST - 1] for x in two], K, 0) == [0.5, 0.5]
    assert space_shares([torch.ones(N, 3), spaces["all"]], K, 0) == [0, 1]
