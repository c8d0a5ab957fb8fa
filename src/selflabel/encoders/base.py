"""What every encoder is: a network from pixels in [0, 1] to a pooled feature and to a map of features.

Axes: B items, C channels, D features, h x w positions of a map.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError

Layer = Literal["map", "keys", "stride16", "stages"]
LAYERS = ("map", "keys", "stride16", "stages")
SUM_BLOCK = 65_536  # rows summed at a time


class Encoder(nn.Module):
    """An encoder of images: normalise, trunk, neck.

    Args:
        trunk: normalised images (B, C, px, px) to what `map` and `neck` work on; of a convolutional net the map itself.
        neck: the trunk's output to the pooled feature (B, dim).
        channels: C.
        px: side of the images in pixels.
        mean, std: of each channel, for values in [0, 1]; 0.5 and 0.25 where they are left out.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        trunk: nn.Module,
        neck: nn.Module,
        channels: int,
        px: int,
        mean: list[float] | None = None,
        std: list[float] | None = None,
    ):
        super().__init__()
        self.trunk, self.neck, self.px = trunk, neck, px
        self.register_buffer("mean", torch.tensor(mean or [0.5] * channels).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std or [0.25] * channels).view(-1, 1, 1), persistent=False)
        self.dim = feature_dim(self, channels, px, px)

    def map(self, x: Tensor, layer: Layer = "map") -> Tensor:
        """Features of places in the picture.

        Args:
            x: (B, C, px, px), values in [0, 1].
            layer: "map" for the last map of features, "keys" for the keys of the last attention layer, "stride16" for the last
                map with a place for every 16 pixels or fewer; "stages" for what `stages` gives, enlarged to the first and side by
                side. An encoder that has no other map gives its last one.

        Returns:
            (B, D, h, w), row 0 at the top. D need not be `dim`, the length of the pooled feature.

        Raises:
            UserError: the encoder has no such layer.
        """
        if layer not in ("map", "stride16", "stages"):
            raise no_such_layer(layer, "it has no attention")
        return self.trunk(self.normalise(x))

    def stages(self, x: Tensor) -> list[Tensor]:
        """The last map with a place for every 16 pixels or fewer, then the coarser ones; the last map where that is all."""
        return [self.map(x)]

    def attended_map(self, x: Tensor, layer: Layer = "map") -> tuple[Tensor, Tensor | None]:
        """A map, and from the same pass how much the class token attends to each of its places.

        Args:
            x, layer: as of `map`.

        Returns:
            ((B, D, h, w), (B, M, h, w) by attention head in the last layer); None for the latter of an encoder without it.
        """
        return self.map(x, layer), None

    def forward(self, x: Tensor) -> Tensor:
        """The pooled feature (B, dim) of images (B, C, px, px) with values in [0, 1]."""
        return self.neck(self.trunk(self.normalise(x)))

    def normalise(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        if x.shape[1] == 1:  # both layouts are the same memory, and torch takes the other one, in which the first layers are slow
            return x.reshape(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
        return x.contiguous(memory_format=torch.channels_last)


def side_by_side(maps: list[Tensor]) -> Tensor:
    """(B, sum of D, h, w) maps enlarged to the first and joined."""
    size = maps[0].shape[-2:]
    return torch.cat([F.interpolate(x.float(), size, mode="bilinear", align_corners=False) for x in maps], dim=1)


class GivenFeatures(nn.Module):
    """The encoder of feature input: subtracts the mean of all rows and divides by their mean length; nothing is learned.

    Rows are centred, because what all items share says nothing about their labels and dominates the features of a ReLU network.
    Rows are not normalised one by one: that would lose a cluster that lies at the origin.

    Args:
        dim: length of a feature vector.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.dim, self.px = dim, 0
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, features_ND: Tensor) -> GivenFeatures:
        """Set the mean and the mean length from all rows (N, D)."""
        mean, length = mean_and_length(features_ND)
        self.mean.copy_(mean)
        self.scale.fill_(length)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim) features, centred and scaled."""
        return (x.float() - self.mean) / self.scale


def mean_and_length(features_ND: Tensor) -> tuple[Tensor, float]:
    """(D,) mean row, and the mean length of rows without it; 1 where all rows are equal."""
    blocks, n = features_ND.split(SUM_BLOCK), len(features_ND)
    mean = (torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0) / n).float()
    length = sum(float((block.float() - mean).norm(dim=1).double().sum()) for block in blocks) / n
    return mean, length if length > 0 else 1.0


def no_such_layer(layer: str, reason: str) -> UserError:
    """The error of an encoder that is asked for a map that it cannot give.

    Raises:
        ValueError: no encoder has a layer of that name.
    """
    if layer not in LAYERS:
        raise ValueError(f"there is no layer {layer!r}; there are {', '.join(map(repr, LAYERS))}.")
    remedy = "use another encoder" if layer == "map" else "use another encoder, or the layer 'map'"
    return UserError(f"this encoder has no layer {layer!r}: {reason}; {remedy}.")


def feature_dim(encoder: nn.Module, *shape: int) -> int:
    """Length of the pooled feature, measured on one blank input of this shape, such as (C, px, px)."""
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        dim = encoder(torch.zeros(1, *shape)).shape[1]
    encoder.train(was_training)
    return dim


def map_dim(encoder: nn.Module, *shape: int) -> int:
    """D of an encoder's map, measured on one blank input of this shape, such as (C, px, px)."""
    was_training = encoder.training
    encoder.eval()
    with torch.no_grad():
        dim = encoder.map(torch.zeros(1, *shape)).shape[1]  # type: ignore[operator]
    encoder.train(was_training)
    return int(dim)


def accepts_px(encoder: nn.Module, channels: int, px: int) -> bool:
    """Whether images of this side, in pixels, give features of the encoder's own length."""
    try:
        return feature_dim(encoder, channels, px, px) == encoder.dim
    except (RuntimeError, AssertionError, ValueError):
        return False


def to_channels_last(net: nn.Module) -> nn.Module:
    """Store the filters of all convolutions with their channels last, in place: the layout in which they run fastest."""
    for p in net.parameters():
        if p.dim() in (4, 5):
            p.data = p.data.contiguous(memory_format=torch.channels_last if p.dim() == 4 else torch.channels_last_3d)
    return net
