import pytest
import torch
from torch import nn

from selflabel.encoders.resnet2d3d import DEPTHS, ResNet2D3D


@pytest.mark.parametrize("layers", DEPTHS)
@torch.no_grad()
def test_the_first_two_stages_see_one_frame_and_the_last_two_see_three(layers):
    net = ResNet2D3D(layers).eval()
    depths = {
        name.split(".")[0]: m.kernel_size[0] for name, m in net.named_modules() if isinstance(m, nn.Conv3d) and "conv" in name
    }
    assert depths == {"conv1": 1, "layer1": 1, "layer2": 1, "layer3": 3, "layer4": 3}
    assert sum(len(net.get_submodule(f"layer{i}")) for i in range(1, 5)) * 2 + 2 == layers
    maps = net(torch.rand(1, 3, 5, 64, 64))
    assert maps.shape == (1, 256, 2, 2, 2) and float(maps.min()) < 0  # no ReLU at the end
