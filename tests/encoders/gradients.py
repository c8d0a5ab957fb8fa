"""A file: every parameter's gradient after one step of each encoder in bfloat16, run by test_encoders.py."""

import sys

import torch
from safetensors.torch import save_file

from selflabel.encoders import CLIP_ENCODERS, ENCODERS, laid_out, make_clip_encoder, make_encoder


def gradients(encoder, x):
    torch.manual_seed(1)  # of dropout
    with torch.autocast("cpu", torch.bfloat16):
        features = encoder(x)
    features.float().square().mean().backward()
    return {name: p.grad.contiguous() for name, p in encoder.named_parameters()}


torch.manual_seed(0)
found = {}
for name in ENCODERS:
    px = 96 if name == "alexnet" else 32
    found |= {
        f"{name}.{k}": g for k, g in gradients(laid_out(make_encoder(name, 3, px)).train(), torch.rand(4, 3, px, px)).items()
    }
for name in CLIP_ENCODERS:
    for frames in (4, 16):
        encoder = laid_out(make_clip_encoder(name, 32, frames)).train()
        found |= {f"{name}.{frames}.{k}": g for k, g in gradients(encoder, torch.rand(4, 3, frames, 32, 32)).items()}
save_file(found, sys.argv[1])
