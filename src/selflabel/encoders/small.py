"""Small convolutional nets for small images, made to train in seconds on two cores."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.encoders.base import Encoder

SMALL_PX, MEDIUM_PX = 32, 64  # above these the stem of ResNet9 has stride 2 and 4
POOLS = 3  # stages of ResNet9, of four, after which the map is max-pooled
# of `resnet7-fine`: width of the first stage by the channels of the input; stages that are max-pooled, and all of them
FINE_WIDTHS, FINE_POOLS, FINE_STAGES = {1: 16, 3: 32}, 1, 3


def make_conv4(channels: int, px: int) -> Encoder:
    """Four convolutions; the map, flattened, is the feature."""
    return Encoder(Conv4(channels, px), nn.Flatten(), channels, px)


def make_resnet9(channels: int, px: int) -> Encoder:
    """Four thin residual stages, averaged over the map."""
    return Encoder(ResNet9(channels, px), global_average(), channels, px)


def make_resnet7_fine(channels: int, px: int) -> Encoder:
    """Three of these stages, with a place of the map for every 8 pixels, so that it says where things are."""
    stride = 4 if px > SMALL_PX else 2
    trunk = ResNet9(channels, px, FINE_WIDTHS[channels], stride, FINE_POOLS, FINE_STAGES)
    return Encoder(trunk, global_average(), channels, px)


def global_average() -> nn.Sequential:
    """A map (B, D, h, w) to its mean over positions (B, D)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def conv_block(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(*normalised_conv(c_in, c_out), nn.ReLU(inplace=True))


def normalised_conv(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out))


def pool_and_relu() -> nn.Sequential:
    """Max-pooling by two and ReLU, which commute: in this order ReLU has a quarter of the work."""
    return nn.Sequential(nn.MaxPool2d(2), nn.ReLU(inplace=True))


class Conv4(nn.Sequential):
    """Four 3 x 3 convolutions (32, 32, 64, 128), each but the first max-pooled by two while the map is larger than one pixel."""

    def __init__(self, channels: int, px: int):
        layers: list[nn.Module] = [conv_block(channels, 32)]
        for c_in, c_out in [(32, 32), (32, 64), (64, 128)]:
            layers += [normalised_conv(c_in, c_out), pool_and_relu()] if px >= 2 else [conv_block(c_in, c_out)]
            px //= 2
        super().__init__(*layers)


class Residual(nn.Module):
    """Two convolutions beside a skip connection."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.first, self.second = conv_block(c_in, c_out), conv_block(c_out, c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)) + self.skip(x)


class ResNet9(nn.Module):
    """Four residual stages of two convolutions, the first ones max-pooled by two.

    Images above 64 px enter through a 7 x 7 convolution of stride 4, so that 128 px cost what 32 px do.

    Args:
        channels: of the images.
        px: their side in pixels.
        width: channels of the first stage; the stages have w, 2w, 4w and 8w.
        stride: of the stem; by `px` where it is left out.
        pools: stages after which the map is max-pooled.
        stages: the first ones of the four.
    """

    def __init__(self, channels: int, px: int, width: int = 32, stride: int | None = None, pools: int = POOLS, stages: int = 4):
        super().__init__()
        self.pools = pools
        stride = stride or (4 if px > MEDIUM_PX else 2 if px > SMALL_PX else 1)
        kernel = 7 if stride == 4 else 3
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList(Residual(a, b) for a, b in list(pairwise(widths))[:stages])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, px, px) to the last map, (B, 8w, h, w) of four stages."""
        x = self.stem(x)
        for i, stage in enumerate(self.stages):
            x = pool_between_stages(stage(x), i, self.pools)
        return x


def pool_between_stages(x: Tensor, stage: int, pools: int = POOLS) -> Tensor:
    """Max-pool the map by two after the first `pools` stages, while both sides are larger than one."""
    return F.max_pool2d(x, 2) if stage < pools and min(x.shape[-2:]) > 1 else x
