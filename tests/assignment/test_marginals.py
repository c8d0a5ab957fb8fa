"""Target shares: they are shares, and they go to the right labels."""

import numpy as np
import pytest
import torch

from selflabel.assignment import marginals, sinkhorn
from selflabel.assignment.marginals import (
    assign_by_rank,
    empirical_shares,
    gaussian,
    matched,
    shares_by_name,
    target_shares,
    unevenness,
    zipf,
)
from selflabel.assignment.sinkhorn import soft_masses
from tests.assignment.problems import clustered_scores


def test_marginals_are_shares_and_match_in_the_right_direction():
    g = torch.Generator().manual_seed(0)
    for shares in (
        marginals.uniform(7),
        marginals.gaussian(7, g),
        marginals.zipf(7),
        marginals.empirical_shares(torch.tensor([0, 0, 3]), 7),
    ):
        assert shares.sum() == pytest.approx(1) and shares.min() > 0
    current = torch.rand(50, generator=g).double()
    shares = assign_by_rank(gaussian(50, g, 0.3), current)
    assert np.corrcoef(shares.argsort().argsort(), current.argsort().argsort())[0, 1] > 0.999


def test_empirical_shares_count_labels_and_a_prior():
    assert empirical_shares(torch.tensor([0, 0, 3]), 4).tolist() == [3 / 7, 1 / 7, 1 / 7, 2 / 7]


def test_the_first_name_of_assign_by_rank_still_works():
    assert matched is assign_by_rank


@pytest.mark.parametrize("name", ["gaussian", "zipf"])
def test_target_sizes_are_assigned_to_labels_by_rank_of_their_current_mass(name):
    source = clustered_scores(n=8_000, k=30, scale=6.0)
    shares = gaussian(30, torch.Generator().manual_seed(0), sd=0.4) if name == "gaussian" else zipf(30)
    current = soft_masses(source, 0.1)
    assert current.sum() == pytest.approx(1)
    mass = assign_by_rank(shares, current)
    sizes = torch.bincount(sinkhorn(source, 0.1, mass).labels, minlength=30).double()
    assert np.corrcoef(sizes.numpy(), mass.numpy())[0, 1] > 0.95  # the solved sizes are the targets
    ranks = np.corrcoef(current.argsort().argsort().numpy(), mass.argsort().argsort().numpy())[0, 1]
    assert ranks == pytest.approx(1)  # and the label with the largest mass has the largest target


def test_estimated_shares_follow_the_current_masses_and_leave_none_without_items():
    source = clustered_scores(n=4_000, k=20, scale=30.0)
    current, shares = soft_masses(source, 0.1), target_shares("estimated", source, 0.1)
    assert shares.sum() == pytest.approx(1) and float(shares.min()) >= 0.5 / 20
    assert torch.equal(shares.argsort(), current.argsort())
    sizes = torch.bincount(sinkhorn(source, 0.1, shares).labels, minlength=20).double() / 4_000
    assert float((sizes - shares).abs().max()) < 0.01


def test_shares_have_names_and_a_seed():
    assert torch.equal(shares_by_name("gaussian", 9, seed=3), gaussian(9, torch.Generator().manual_seed(3)))
    assert not torch.equal(shares_by_name("gaussian", 9, seed=3), shares_by_name("gaussian", 9, seed=4))
    with pytest.raises(ValueError, match="'gausian'"):
        shares_by_name("gausian", 9)


def test_equal_shares_have_no_unevenness_and_it_grows_with_the_spread():
    values = [unevenness(gaussian(40, torch.Generator().manual_seed(0), sd)) for sd in (0.0, 0.1, 0.3)]
    assert values[0] == pytest.approx(0, abs=1e-12) and values == sorted(values) and values[1] == pytest.approx(0.005, rel=0.5)
