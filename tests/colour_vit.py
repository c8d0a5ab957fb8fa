"""Weights for the two transformers that `auto` takes for photos, made by a test: what they know is colours.

They have the names and shapes of the real files, so that the commands of a user run as they stand.
"""

import timm
import torch
from safetensors.torch import save_file
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from selflabel.encoders.pretrained import OBJECTS, PICTURES

GREY = 0.1  # length of the direction that all patches have in common; colours are up to 1
MEAN, STD = torch.tensor(IMAGENET_DEFAULT_MEAN), torch.tensor(IMAGENET_DEFAULT_STD)
OPPONENTS = torch.tensor([[1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])  # of red, green and blue: red to green, blue to yellow


def serve_weights(folder):
    """Write both files into the folder of a hub."""
    for encoder, net in ((OBJECTS, cutting_by_colour()), (PICTURES, seeing_colours())):
        place = folder / encoder.repo
        place.mkdir(parents=True)
        save_file({name: value.contiguous() for name, value in net.state_dict().items()}, place / "model.safetensors")


def cutting_by_colour():
    """A DINO small whose keys in the last layer are the colours of the patches: its blocks change nothing."""
    net = timm.create_model(OBJECTS.encoder.removeprefix("timm:"), pretrained=False, num_classes=0)
    with torch.no_grad():
        for parameter in (net.cls_token, net.pos_embed, net.patch_embed.proj.weight, net.patch_embed.proj.bias):
            parameter.zero_()
        for block in net.blocks:
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.zero_()
                layer.bias.zero_()
        net.patch_embed.proj.bias[:2] = torch.tensor([GREY, -GREY])  # pairs, whose mean is 0 as the norm wants it
        for i, opponent in enumerate(OPPONENTS):
            mean_of_patch, at = (opponent * STD)[:, None, None].expand(3, 16, 16) / 256, 2 + 2 * i
            net.patch_embed.proj.weight[at : at + 2] = torch.stack([mean_of_patch, -mean_of_patch])
            net.patch_embed.proj.bias[at : at + 2] = opponent @ MEAN * torch.tensor([1.0, -1.0])  # so that grey is 0
        qkv = net.blocks[-1].attn.qkv
        qkv.weight[384:768], qkv.bias[384:768] = torch.eye(384), 0
    return net


def seeing_colours():
    """A DINOv2 small with random weights, whose layers count in full from the start."""
    torch.manual_seed(0)
    net = timm.create_model(PICTURES.encoder.removeprefix("timm:"), pretrained=False, num_classes=0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("gamma"):
                parameter.fill_(1)
    return net
