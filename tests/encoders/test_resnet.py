import pytest
import torch

from selflabel.encoders import make_encoder
from selflabel.encoders.resnet import torchvision_resnet


def test_resnets_have_the_small_stem_where_it_fits():
    small, large = make_encoder("resnet18", 3, 32), make_encoder("resnet18", 3, 224)
    assert small.trunk.conv1.stride == (1, 1) and large.trunk.conv1.stride == (2, 2)
    assert small.map(torch.rand(1, 3, 32, 32)).shape == (1, 512, 4, 4)


@pytest.mark.parametrize("px", [32, 96])
def test_a_resnet_for_sounds_has_one_channel_at_any_side(px):
    assert make_encoder("resnet18", 1, px).trunk.conv1.in_channels == 1


def test_the_wide_resnet_has_one_block_a_stage():
    net = torchvision_resnet("resnet9-wide")
    assert [len(stage) for stage in (net.layer1, net.layer2, net.layer3, net.layer4)] == [1] * 4
    assert make_encoder("resnet9-wide", 1, 40).dim == 512
