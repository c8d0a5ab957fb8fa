"""ResNets of torchvision, with the stem of the CIFAR literature for images of up to 64 px."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from selflabel.encoders.base import Encoder
from selflabel.encoders.small import global_average

WIDE = "resnet9-wide"  # one block a stage, 64 to 512 channels: the sound encoder of SeLaVi
SMALL_IMAGE_PX = 64


def make_resnet(name: str) -> Callable[[int, int], Encoder]:
    """A maker (channels, px) -> encoder for `resnet9-wide` or any ResNet of torchvision by its name."""

    def make(channels: int, px: int) -> Encoder:
        net = torchvision_resnet(name)
        if px <= SMALL_IMAGE_PX:
            net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            net.maxpool = nn.Identity()
        elif channels != 3:
            net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        layers = list(net.named_children())[:-2]  # without average pooling and classifier
        trunk = nn.Sequential(OrderedDict(layers))  # torchvision's own names, so that its weights can be loaded
        return Encoder(trunk, global_average(), channels, px)

    return make


def torchvision_resnet(name: str) -> nn.Module:
    import torchvision

    if name == WIDE:
        return torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
    return getattr(torchvision.models, name)(weights=None)
