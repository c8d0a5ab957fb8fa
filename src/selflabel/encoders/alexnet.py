"""AlexNet as SeLa trains it: 96-256-384-384-256 convolutions with batch norm, then two layers of 4,096 with dropout.

From the published code's "big" variant, without its Sobel filter. The paper uses images of 224 px.
"""

from __future__ import annotations

import torch
from torch import nn

from selflabel.base.errors import UserError
from selflabel.encoders.base import Encoder

MIN_PX = 63
HIDDEN = 4096
LAYERS = (  # channels, kernel, stride, padding, whether max-pooling follows
    (96, 11, 4, 2, True),
    (256, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


def make_alexnet(channels: int, px: int) -> Encoder:
    """AlexNet for images (channels, px, px).

    Raises:
        UserError: the images are smaller than 63 px.
    """
    if px < MIN_PX:
        raise UserError(f"alexnet needs images of at least {MIN_PX} px, these are shown at {px}; add --set px=224.")
    trunk = convolutions(channels)
    with torch.no_grad():
        map_shape = trunk.eval()(torch.zeros(1, channels, px, px)).shape[1:]
    return Encoder(trunk.train(), fully_connected(map_shape), channels, px)


def convolutions(channels: int) -> nn.Sequential:
    """The five convolutional layers."""
    layers: list[nn.Module] = []
    c_in = channels
    for c_out, kernel, stride, padding, pool in LAYERS:
        layers += [nn.Conv2d(c_in, c_out, kernel, stride, padding), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        if pool:
            layers.append(nn.MaxPool2d(3, 2))
        c_in = c_out
    return nn.Sequential(*layers)


def fully_connected(map_shape: torch.Size) -> nn.Sequential:
    """Flatten a map (D, h, w), then two fully connected layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(map_shape.numel(), HIDDEN),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(inplace=True),
    )
