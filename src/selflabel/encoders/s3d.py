"""S3D-G, the network of MIL-NCE (Xie, Sun, Huang, Tu & Murphy, ECCV 2018; Miech et al., CVPR 2020).

Inception blocks whose 3 x 3 x 3 convolutions are one over places and then one over time, and whose branches are gated: every
channel is multiplied by the sigmoid of a linear function of all channels' means. MIL-NCE's has a space-to-depth stem: 2 x 2 x 2
neighbouring pixels become 24 channels, so that the first convolution needs no stride. Tensors are named as in the authors'
PyTorch weights, so that those load from a .safetensors file; pixels are taken as they are, in [0, 1].

Axes: B films, C channels, F frames, h x w places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.encoders.clip import TemporalConv

# of every block: the 1 x 1 x 1 branch; reduced and full width of two 3 x 3 x 3 branches; the max-pooled branch
BLOCKS: dict[str, tuple[int, int, int, int, int, int]] = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}
POOLED_BEFORE: dict[str, tuple[int, int]] = {"mixed_4b": (3, 2), "mixed_5b": (2, 2)}  # block to kernel and stride


def space_to_depth(x: Tensor) -> Tensor:
    """(B, 8 C, F / 2, h / 2, w / 2): 2 x 2 x 2 neighbours as channels. An odd last frame, row or column is repeated."""
    odd = [side % 2 for side in reversed(x.shape[2:])]
    if any(odd):
        x = F.pad(x, [n for side in odd for n in (0, side)], mode="replicate")
    x = x.unflatten(4, (-1, 2)).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (B, C, F/2, 2, h/2, 2, w/2, 2)
    return x.permute(0, 3, 5, 7, 1, 2, 4, 6).flatten(1, 4)


def max_pool(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Max-pooling of what is nowhere below 0, padded as TensorFlow pads. Kernel and stride: in time, and along each side."""
    pads = [max(0, kernel[axis] - stride[axis]) for axis in (1, 1, 0)]
    x = F.pad(x, [n for pad in pads for n in (pad // 2, pad - pad // 2)])
    return F.max_pool3d(x, (kernel[0], kernel[1], kernel[1]), (stride[0], stride[1], stride[1]), ceil_mode=True)


class Gate(nn.Module):
    """Feature gating: x * sigmoid(W m + b), with m the mean of every channel over time and places."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.fc(x.mean(dim=(2, 3, 4))))[:, :, None, None, None] * x


class Conv(nn.Module):
    """A convolution, batch norm and ReLU."""

    def __init__(
        self, c_in: int, c_out: int, kernel: tuple[int, ...] = (1, 1, 1), stride: int = 1, padding: tuple[int, ...] = (0, 0, 0)
    ):
        super().__init__()
        self.conv1 = nn.Conv3d(c_in, c_out, kernel, stride, padding, bias=False)  # type: ignore[arg-type]
        self.bn1 = nn.BatchNorm3d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv1(x)))


class SeparableConv(Conv):
    """A 3 x 3 x 3 convolution as one over places and one over time, each with batch norm and ReLU."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__(c_in, c_out, (1, 3, 3), padding=(0, 1, 1))
        self.conv2 = TemporalConv(c_out, c_out, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.bn2 = nn.BatchNorm3d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(super().forward(x))))


class Inception(nn.Module):
    """Four gated branches side by side. widths: as in BLOCKS."""

    def __init__(self, c_in: int, widths: tuple[int, int, int, int, int, int]):
        super().__init__()
        w0, w1a, w1b, w2a, w2b, w3 = widths
        self.conv_b0, self.gating_b0 = Conv(c_in, w0), Gate(w0)
        self.conv_b1_a, self.conv_b1_b, self.gating_b1 = Conv(c_in, w1a), SeparableConv(w1a, w1b), Gate(w1b)
        self.conv_b2_a, self.conv_b2_b, self.gating_b2 = Conv(c_in, w2a), SeparableConv(w2a, w2b), Gate(w2b)
        self.conv_b3_b, self.gating_b3 = Conv(c_in, w3), Gate(w3)
        self.channels = w0 + w1b + w2b + w3

    def forward(self, x: Tensor) -> Tensor:
        branches = (
            self.gating_b0(self.conv_b0(x)),
            self.gating_b1(self.conv_b1_b(self.conv_b1_a(x))),
            self.gating_b2(self.conv_b2_b(self.conv_b2_a(x))),
            self.gating_b3(self.conv_b3_b(F.max_pool3d(x, 3, stride=1, padding=1))),
        )
        return torch.cat(branches, dim=1)


class S3DG(nn.Module):
    """S3D-G up to its last map: (B, 3, F, h, w) with values in [0, 1] to (B, 1024, F / 8, h / 32, w / 32), rounded up.

    Args:
        with_space_to_depth: MIL-NCE's stem; else one convolution over 3 x 7 x 7 pixels with stride 2.
    """

    def __init__(self, with_space_to_depth: bool = True):
        super().__init__()
        self.with_space_to_depth = with_space_to_depth
        if with_space_to_depth:
            self.conv1 = Conv(24, 64, (2, 4, 4), padding=(1, 2, 2))
        else:
            self.conv1 = Conv(3, 64, (3, 7, 7), stride=2, padding=(1, 3, 3))
        self.conv_2b, self.conv_2c, self.gating = Conv(64, 64), SeparableConv(64, 192), Gate(192)
        channels = 192
        for name, widths in BLOCKS.items():
            block = Inception(channels, widths)
            self.add_module(name, block)
            channels = block.channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(space_to_depth(x))[:, :, 1:, 1:, 1:] if self.with_space_to_depth else self.conv1(x)
        x = self.gating(self.conv_2c(self.conv_2b(max_pool(x, (1, 3), (1, 2)))))
        x = max_pool(x, (1, 3), (1, 2))
        for name in BLOCKS:
            if name in POOLED_BEFORE:
                kernel, stride = POOLED_BEFORE[name]
                x = max_pool(x, (kernel, kernel), (stride, stride))
            x = self.get_submodule(name)(x)
        return x
