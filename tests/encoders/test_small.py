import pytest
import torch
from torch import nn

from selflabel.encoders.small import Conv4, Residual, ResNet9, global_average, make_conv4, make_resnet9


@pytest.mark.parametrize("px, side", [(1, 1), (3, 1), (8, 1), (28, 3), (32, 4)])
def test_conv4_pools_while_there_is_something_to_pool(px, side):
    assert Conv4(1, px)(torch.rand(2, 1, px, px)).shape == (2, 128, side, side)
    assert make_conv4(1, px).dim == 128 * side * side


@pytest.mark.parametrize("px, stride, side", [(32, 1, 4), (64, 2, 4), (128, 4, 4)])
def test_resnet9_costs_the_same_for_32_64_and_128_pixels(px, stride, side):
    net = ResNet9(3, px)
    assert net.stem[0].stride == (stride, stride) and net(torch.rand(2, 3, px, px)).shape == (2, 256, side, side)
    assert make_resnet9(3, px).dim == 256


def test_a_residual_block_adds_its_input():
    block = Residual(4, 4).eval()
    nn.init.zeros_(block.second[1].weight)
    x = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_the_average_is_over_all_positions():
    x = torch.rand(2, 3, 4, 5)
    assert torch.allclose(global_average()(x), x.mean(dim=(2, 3)))
