"""AlexNet as SeLa trains it: 96-256-384-384-256 convolutions with batch norm, then two layers of 4,096 with dropout.

From the published code's "big" variant; no Sobel filter. The paper shows it 224 px pictures.
"""

from __future__ import annotations

import torch
from torch import nn

LEAST_PX = 63


def convolutions(channels: int) -> nn.Sequential:
    plan = [
        (96, 11, 4, 2, True),
        (256, 5, 1, 2, True),
        (384, 3, 1, 1, False),
        (384, 3, 1, 1, False),
        (256, 3, 1, 1, True),
    ]
    layers: list[nn.Module] = []
    c_in = channels
    for c_out, kernel, stride, padding, pooled in plan:
        layers += [nn.Conv2d(c_in, c_out, kernel, stride, padding), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        if pooled:
            layers.append(nn.MaxPool2d(3, 2))
        c_in = c_out
    return nn.Sequential(*layers)


def neck(maps: torch.Size) -> nn.Sequential:
    """Flatten and two fully connected layers, for feature maps of this (C, h, w)."""
    wide = 4096
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(maps.numel(), wide),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(wide, wide),
        nn.ReLU(inplace=True),
    )
