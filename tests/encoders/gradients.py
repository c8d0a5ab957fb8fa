"""Every parameter's gradient after one step of each encoder in bfloat16."""

import torch

from selflabel.encoders import CLIP_ENCODERS, ENCODERS, make_clip_encoder, make_encoder, to_channels_last


def gradients(encoder, x):
    torch.manual_seed(1)  # of dropout
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder(x)
    features.float().square().mean().backward()
    return {name: p.grad.contiguous() for name, p in encoder.named_parameters()}


def gradients_of_every_encoder():
    torch.manual_seed(0)
    result = {}
    for name in ENCODERS:
        px = 96 if name == "alexnet" else 32
        encoder = to_channels_last(make_encoder(name, 3, px)).train()
        result |= {f"{name}.{k}": g for k, g in gradients(encoder, torch.rand(4, 3, px, px)).items()}
    for name in CLIP_ENCODERS:
        for frames in (4, 16):
            encoder = to_channels_last(make_clip_encoder(name, 32, frames)).train()
            result |= {f"{name}.{frames}.{k}": g for k, g in gradients(encoder, torch.rand(4, 3, frames, 32, 32)).items()}
    return result
