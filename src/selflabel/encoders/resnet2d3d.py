"""2D3D-ResNets, the networks of DPC (Han, Xie & Zisserman, ICCV workshops 2019): in their first two stages convolutions see one
frame, in the last two three. The last stage is as wide as the third, and its output is not cut off at zero.

Axes: B films, F frames, h x w places.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 256)
IN_TIME = (False, False, True, True)  # stages whose convolutions see three frames
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # layers to blocks of each stage


def conv3(c_in: int, c_out: int, stride: int, in_time: bool) -> nn.Conv3d:
    """A convolution over 3 x 3 places, and over three frames where `in_time`; the stride is of what it sees."""
    depth = 3 if in_time else 1
    steps = (stride if in_time else 1, stride, stride)
    return nn.Conv3d(c_in, c_out, (depth, 3, 3), steps, (depth // 2, 1, 1), bias=False)


class Block(nn.Module):
    """A basic residual block. is_last: of the network, without the final ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int, in_time: bool, is_last: bool):
        super().__init__()
        self.conv1, self.bn1 = conv3(c_in, c_out, stride, in_time), nn.BatchNorm3d(c_out)
        self.conv2, self.bn2 = conv3(c_out, c_out, 1, in_time), nn.BatchNorm3d(c_out)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or c_in != c_out:
            steps = (stride if in_time else 1, stride, stride)
            self.downsample = nn.Sequential(nn.Conv3d(c_in, c_out, 1, steps, bias=False), nn.BatchNorm3d(c_out))
        self.is_last = is_last

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.downsample(x)
        return y if self.is_last else F.relu(y)


class ResNet2D3D(nn.Module):
    """(B, 3, F, h, w) to a map (B, 256, F / 4, h / 32, w / 32), rounded up. layers: in DEPTHS."""

    def __init__(self, layers: int):
        super().__init__()
        self.conv1 = nn.Conv3d(3, WIDTHS[0], (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        self.bn1, c_in = nn.BatchNorm3d(WIDTHS[0]), WIDTHS[0]
        for stage, (width, depth, in_time) in enumerate(zip(WIDTHS, DEPTHS[layers], IN_TIME)):
            blocks = []
            for i in range(depth):
                is_last = stage == len(WIDTHS) - 1 and i == depth - 1
                blocks.append(Block(c_in, width, 2 if stage and i == 0 else 1, in_time, is_last))
                c_in = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        for conv in self.modules():
            if isinstance(conv, nn.Conv3d):
                nn.init.kaiming_normal_(conv.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x))), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for stage in range(len(WIDTHS)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return x
