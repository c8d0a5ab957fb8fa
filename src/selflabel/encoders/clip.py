"""Encoders of videos (B, 3, F, px, px) with values in [0, 1].

`clip9` shifts an eighth of the channels one frame forward and an eighth one frame back before every stage (TSM; Lin et al.,
2019), so that a thin image network sees motion at no cost. `r2plus1d` is R(2+1)D-18 (Tran et al., 2018), the network of SeLaVi.
`Framewise` lets any image encoder serve videos: every frame by itself, the features averaged over time.

Axes: B videos, F frames, C channels, D features, h x w positions of a map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.encoders.base import Encoder, Layer, feature_dim, no_such_layer
from selflabel.encoders.small import ResNet9, pool_between_stages

SHIFT_DIVISOR = 8  # one in this many channels is shifted, in each direction


class ClipEncoder(nn.Module):
    """An encoder of whole videos: normalise, trunk, mean over time and place.

    Args:
        trunk: normalised videos (B, 3, F, px, px) to a map (B, D, F', h, w).
        px: side of the frames in pixels.
        frames: F.
        mean, std: of the pixels that the trunk expects, for values in [0, 1].
    """

    def __init__(self, trunk: nn.Module, px: int, frames: int, mean: float = 0.5, std: float = 0.25):
        super().__init__()
        self.trunk, self.px, self.mean, self.std = trunk, px, mean, std
        self.dim = feature_dim(self, 3, frames, px, px)

    def map(self, x: Tensor, layer: Layer = "map") -> Tensor:
        """Features of places and times; see `Encoder.map`.

        Returns:
            (B, D, F', h, w); F' is fewer than F where the trunk has strides in time.
        """
        if layer != "map":
            raise no_such_layer(layer, "it has no attention")
        return self.trunk((x - self.mean) / self.std)

    def forward(self, x: Tensor) -> Tensor:
        """The pooled feature (B, dim)."""
        return self.map(x).mean(dim=(2, 3, 4))


class Framewise(nn.Module):
    """An image encoder on every frame; features are averaged over time."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder
        self.dim, self.px = encoder.dim, encoder.px

    def map(self, x: Tensor, layer: Layer = "map") -> Tensor:
        """Features of places in every frame, (B, D, F, h, w); see `Encoder.map`."""
        maps = self.encoder.map(frames_to_batch(x), layer)
        return batch_to_frames(maps, x.shape[2])

    def forward(self, x: Tensor) -> Tensor:
        """The pooled feature (B, dim)."""
        features = self.encoder(frames_to_batch(x))
        return features.view(-1, x.shape[2], features.shape[1]).mean(dim=1)


class Clip9(nn.Module):
    """ResNet9 on frames, with some channels shifted in time before each stage: (B, 3, F, px, px) to (B, D, F, h, w)."""

    def __init__(self, px: int, width: int = 32):
        super().__init__()
        self.net = ResNet9(3, px, width, stride=4 if px > 32 else 2)

    def forward(self, x: Tensor) -> Tensor:
        n_frames = x.shape[2]
        y = self.net.stem(frames_to_batch(x).contiguous(memory_format=torch.channels_last))
        for i, stage in enumerate(self.net.stages):
            y = pool_between_stages(stage(shift_in_time(y, n_frames)), i)
        return batch_to_frames(y, n_frames)


class R2Plus1D(nn.Module):
    """R(2+1)D-18 of torchvision up to its last map: (B, 3, F, px, px) to (B, D, F', h, w)."""

    def __init__(self):
        super().__init__()
        from torchvision.models.video import r2plus1d_18

        self.net = r2plus1d_18(weights=None)
        self.net.fc = nn.Identity()
        for conv in self.net.modules():
            if isinstance(conv, nn.Conv3d) and conv.kernel_size == (3, 1, 1):
                conv.__class__ = TemporalConv

    def forward(self, x: Tensor) -> Tensor:
        x = self.net.stem(x.contiguous(memory_format=torch.channels_last_3d))
        for stage in (self.net.layer1, self.net.layer2, self.net.layer3, self.net.layer4):
            x = stage(x)
        return x


class TemporalConv(nn.Conv3d):
    """A convolution over three frames and one place, computed as a 2d convolution over times x places.

    PyTorch's own in bfloat16 on CPUs (2.14, oneDNN 3.12) leaves parts of the weight's gradient unwritten where a map is two
    frames deep, so that whatever was in that memory before is learned.
    """

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x.flatten(3), self.weight.flatten(3), self.bias, (self.stride[0], 1), padding=(1, 0))
        return y.unflatten(3, x.shape[3:])


def shift_in_time(x: Tensor, n_frames: int) -> Tensor:
    """(B * F, C, h, w) with an eighth of the channels from the frame before and an eighth from the one after; zeros at the ends.

    Source: Lin et al. (2019), figure 1b.
    """
    clips = x.view(-1, n_frames, *x.shape[1:])
    fold = max(1, x.shape[1] // SHIFT_DIVISOR)
    out = clips.clone()
    out[:, 1:, :fold] = clips[:, :-1, :fold]
    out[:, :1, :fold] = 0
    out[:, :-1, fold : 2 * fold] = clips[:, 1:, fold : 2 * fold]
    out[:, -1:, fold : 2 * fold] = 0
    return out.view_as(x)


def frames_to_batch(x: Tensor) -> Tensor:
    """(B, C, F, h, w) to (B * F, C, h, w)."""
    return x.transpose(1, 2).flatten(0, 1)


def batch_to_frames(x: Tensor, n_frames: int) -> Tensor:
    """(B * F, D, h, w) to (B, D, F, h, w)."""
    return x.view(-1, n_frames, *x.shape[1:]).transpose(1, 2)
