"""Encoders side by side."""

import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders import GivenFeatures, JoinedBackbones, JoinedFeatures, make_encoder, names_of_parts


def test_a_space_of_no_weight_changes_nothing():
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    both = JoinedFeatures([4, 3]).fit(x, [0.0, 1.0])(x)
    assert torch.allclose(both[:, 4:], GivenFeatures(3).fit(x[:, 4:])(x[:, 4:])) and not both[:, :4].any()


def test_each_space_has_its_weight_as_the_mean_length_of_its_rows():
    x = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * torch.tensor([100.0] * 4 + [0.01] * 3) + 5
    both = JoinedFeatures([4, 3]).fit(x, [2.0, 0.5])(x)
    assert both[:, :4].norm(dim=1).mean() == pytest.approx(2, rel=1e-3)
    assert both[:, 4:].norm(dim=1).mean() == pytest.approx(0.5, rel=1e-3)


def test_each_backbone_is_shown_the_views_at_its_own_side():
    parts = [make_encoder("conv4", 3, 16).eval(), make_encoder("resnet9", 3, 32).eval()]
    joined, x = JoinedBackbones(parts, [16, 32]), torch.rand(2, 3, 32, 32)
    features = joined(x)
    assert features.shape == (2, joined.dim) and joined.px == 32
    small = torch.nn.functional.interpolate(x, size=(16, 16), mode="bilinear", antialias=True, align_corners=False)
    assert torch.allclose(features, torch.cat([parts[0](small), parts[1](x)], dim=1), atol=1e-5)


def test_only_fixed_backbones_stand_side_by_side():
    with pytest.raises(UserError, match="only fixed backbones"):
        names_of_parts("frozen:conv4+resnet9")
