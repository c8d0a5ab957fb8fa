"""Networks for films (B, 3, T, px, px): frames through an image network, joined over time.

`clip9` shifts an eighth of the channels one frame on and an eighth one frame back before every stage (TSM; Lin et al., 2019), so
that a thin image network sees motion at no cost. Any image encoder serves films frame by frame, its features averaged.
`r2plus1d` is R(2+1)D-18 (Tran et al., 2018), the network of SeLaVi.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.encoders.small import ResNet9

SHIFTED = 8  # one in so many channels, each way


def shifted(x: Tensor, frames: int) -> Tensor:
    """(B * T, C, h, w) with some channels from the frame before and some from the one after."""
    clips = x.view(-1, frames, *x.shape[1:])
    part = max(1, x.shape[1] // SHIFTED)
    out = clips.clone()
    out[:, 1:, :part] = clips[:, :-1, :part]
    out[:, :1, :part] = 0
    out[:, :-1, part : 2 * part] = clips[:, 1:, part : 2 * part]
    out[:, -1:, part : 2 * part] = 0
    return out.view_as(x)


def folded(x: Tensor) -> Tensor:
    """(B, C, T, h, w) to (B * T, C, h, w)."""
    return x.transpose(1, 2).flatten(0, 1)


class Clip9(nn.Module):
    """ResNet9 on frames, with channels shifted in time before each stage; a map (B * T, D, h, w) comes out as (B, D, T, h, w)."""

    def __init__(self, px: int, width: int = 32):
        super().__init__()
        self.net = ResNet9(3, px, width, stride=4 if px > 32 else 2)

    def forward(self, x: Tensor) -> Tensor:
        T = x.shape[2]
        y = self.net.stem(folded(x).contiguous(memory_format=torch.channels_last))
        for i, stage in enumerate(self.net.stages):
            y = stage(shifted(y, T))
            if i < 3 and min(y.shape[-2:]) > 1:
                y = F.max_pool2d(y, 2)
        return y.view(-1, T, *y.shape[1:]).transpose(1, 2)


class OverTime(nn.Conv3d):
    """A convolution over three frames and one place, reckoned as one over a plane of times by places.

    PyTorch's own for bfloat16 on CPUs (2.14, oneDNN 3.12) leaves parts of the weight's gradient unwritten where a map is two
    frames deep, and what lay in that memory before is then learnt.
    """

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x.flatten(3), self.weight.flatten(3), self.bias, (self.stride[0], 1), padding=(1, 0))
        return y.unflatten(3, x.shape[3:])


class R2Plus1D(nn.Module):
    """R(2+1)D-18 up to its last map."""

    def __init__(self):
        super().__init__()
        from torchvision.models.video import r2plus1d_18

        self.net = r2plus1d_18(weights=None)
        self.net.fc = nn.Identity()
        for conv in self.net.modules():
            if isinstance(conv, nn.Conv3d) and conv.kernel_size == (3, 1, 1):
                conv.__class__ = OverTime

    def forward(self, x: Tensor) -> Tensor:
        x = self.net.stem(x.contiguous(memory_format=torch.channels_last_3d))
        for stage in (self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4):
            x = stage(x)
        return x


class ClipEncoder(nn.Module):
    """Normalise, trunk to a map (B, D, T', h, w), mean over time and place. `dim` is the feature's length."""

    def __init__(self, trunk: nn.Module, px: int, frames: int):
        super().__init__()
        self.trunk, self.px = trunk, px
        was = self.training
        self.eval()
        with torch.no_grad():
            self.dim = self(torch.zeros(1, 3, frames, px, px)).shape[1]
        self.train(was)

    def map(self, x: Tensor) -> Tensor:
        return self.trunk((x - 0.5) / 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x).mean(dim=(2, 3, 4))


class Framewise(nn.Module):
    """An image encoder on every frame; features are averaged over time."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder
        self.dim, self.px = encoder.dim, encoder.px

    def map(self, x: Tensor) -> Tensor:
        y = self.encoder.map(folded(x))  # type: ignore[operator]
        return y.view(-1, x.shape[2], *y.shape[1:]).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.encoder(folded(x))
        return y.view(-1, x.shape[2], y.shape[1]).mean(dim=1)
