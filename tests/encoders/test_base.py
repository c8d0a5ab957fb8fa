import pytest
import torch
from torch import nn

from selflabel.encoders import Encoder, GivenFeatures, accepts_px, feature_dim, make_encoder, to_channels_last


def test_an_encoder_normalises_then_runs_trunk_and_neck():
    encoder = Encoder(nn.Identity(), nn.Flatten(), 2, 4, mean=[0.1, 0.2], std=[0.5, 2.0])
    x = torch.rand(3, 2, 4, 4)
    expected = (x - torch.tensor([0.1, 0.2]).view(2, 1, 1)) / torch.tensor([0.5, 2.0]).view(2, 1, 1)
    assert torch.equal(encoder.map(x), expected) and torch.equal(encoder(x), expected.flatten(1))
    assert encoder.dim == 32 and list(encoder.state_dict()) == []
    assert torch.equal(Encoder(nn.Identity(), nn.Flatten(), 1, 4).map(torch.full((1, 1, 4, 4), 0.75)), torch.ones(1, 1, 4, 4))


def test_given_features_are_centred_and_of_mean_length_one():
    x = 3 * torch.randn(50, 6) + 5
    scaled = GivenFeatures(6).fit(x)(x)
    assert torch.allclose(scaled.mean(dim=0), torch.zeros(6), atol=1e-5)
    assert scaled.norm(dim=1).mean().item() == pytest.approx(1, abs=1e-5)
    assert torch.isfinite(GivenFeatures(6).fit(torch.ones(4, 6))(torch.ones(4, 6))).all()


@pytest.mark.parametrize("training", [True, False])
def test_measuring_the_feature_leaves_an_encoder_in_the_mode_that_it_was_in(training):
    encoder = make_encoder("resnet9", 3, 32).train(training)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    assert feature_dim(encoder, 3, 32, 32) == encoder.dim == 256 and encoder.training == training
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_an_encoder_that_averages_its_map_accepts_other_sides_and_one_that_flattens_it_or_has_positions_does_not():
    assert accepts_px(make_encoder("resnet9", 3, 64), 3, 27)
    assert not accepts_px(make_encoder("conv4", 1, 32), 1, 14)
    assert not accepts_px(make_encoder("timm:vit_tiny_patch16_224", 3, 224, fetch=False), 3, 64)


def test_filters_are_stored_with_their_channels_last_and_keep_their_values():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(4, 2, 3), nn.Linear(2, 2))
    before = [p.clone() for p in net.parameters()]
    assert to_channels_last(net) is net
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert net[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before))
