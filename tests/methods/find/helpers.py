"""Small localisers, and batches of pairs for them."""

import torch
from torch import nn

from selflabel.contract import Batch, Features, Task
from selflabel.encoders import make_encoder
from selflabel.views import View


def built(make, pictures="image", **options):
    """A localiser with small towers, in eval mode."""
    torch.manual_seed(0)
    kinds = {pictures: "photo" if pictures == "image" else "video", "audio": "sound"}
    method = make(Task(6, None, "photo", 32, 3, kinds=kinds), make.options_type(**options))
    method.build(nn.ModuleDict({pictures: make_encoder("resnet7-fine", 3, 32), "audio": make_encoder("resnet7-fine", 1, 64)}))
    return method.eval()


def batch_of(n=5, present=None, seed=1):
    g = torch.Generator().manual_seed(seed)
    pictures, sounds = torch.rand(n, 3, 32, 32, generator=g), torch.rand(n, 1, 64, 40, generator=g)
    return Batch(torch.arange(n)[:, None], {"image": [View(pictures)], "audio": [View(sounds)]}, 0.0, present or {})


def maps_of(method, batch):
    return Features({}, {}, {m: method.encoders[m].map(views[0].pixels) for m, views in batch.views.items()})
