"""What tests of single methods share: features as a data set, an encoder that changes nothing, and views of features."""

import torch
from torch import nn

from selflabel.views import View


class FeatureData:
    """Features (N, D) of one modality, or modality to features, as a method gets them."""

    groups_N = None

    def __init__(self, features, present=None):
        self.by_modality = features if isinstance(features, dict) else {"image": features}
        n = len(next(iter(self.by_modality.values())))
        self.n_items, self.present = n, present or {m: torch.ones(n, dtype=torch.bool) for m in self.by_modality}

    def features(self, modality, **_):
        return self.by_modality[modality]


def identity_encoders(dim, modalities=("image",)):
    encoders = nn.ModuleDict({m: nn.Identity() for m in modalities})
    for encoder in encoders.values():
        encoder.dim = dim
    return encoders


def views_of(**tensors):
    """Modality to views: views_of(image=[a, b])."""
    return {m: [View(x) for x in of_modality] for m, of_modality in tensors.items()}
