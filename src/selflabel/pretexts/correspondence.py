"""AVE-Net: whether a picture and a sound belong together, by the distance of their vectors ("Objects that Sound", ECCV 2018).

Arandjelovic & Zisserman's claim: a network that decides by nothing but the distance of two unit vectors has to align them, so
that pictures find sounds, and sounds pictures. Each map is max-pooled over all places; two layers make the vector.

Unlike other pretexts it takes two encoders, so that it is no `Pretext`: methods that learn from pairs put it before their own
phase. Wrong pairs are all others of the batch, where the paper has one for each picture; right and wrong ones weigh the same.

Axes: B items of a batch, D features, E dimensions of the common space.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DIM = 128  # of the common space, as published
SLOPE, OFFSET = (
    4.0,
    4.0,
)  # at first: of the logit "belong together", which falls with the distance; the paper learns it from random


class PooledNorm(nn.BatchNorm1d):
    """Batch norm of maps that were max-pooled (B, D). The highest values of a new network are much the same for all items; what
    they have in common is taken out, else all items are alike and nothing is learned for long. One item alone is normalised by
    what was seen before.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        return super().forward(x)


class Correspondence(nn.Module):
    """See the module's docstring.

    Args:
        of_pictures, of_sounds: D of the maps of pictures and of sounds.
    """

    def __init__(self, of_pictures: int, of_sounds: int):
        super().__init__()
        self.pictures, self.sounds = projector(of_pictures), projector(of_sounds)
        self.slope, self.offset = nn.Parameter(torch.tensor(-SLOPE)), nn.Parameter(torch.tensor(OFFSET))

    def embed(self, pictures_BD: Tensor, sounds_BD: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) each, of length 1. Arguments: maps of each, max-pooled over their places."""
        embedded = self.pictures(pictures_BD).float(), self.sounds(sounds_BD).float()
        return F.normalize(embedded[0], dim=1), F.normalize(embedded[1], dim=1)

    def logits(self, pictures_BE: Tensor, sounds_BE: Tensor) -> Tensor:
        """(B, B): of picture n with sound m, log-odds that they belong together."""
        return self.offset + self.slope * torch.cdist(pictures_BE, sounds_BE, compute_mode="donot_use_mm_for_euclid_dist")

    def loss(self, pictures_BD: Tensor, sounds_BD: Tensor) -> Tensor:
        """Cross-entropy of "belong together or not": right pairs are on the diagonal. A softmax of two is a sigmoid of one."""
        logits = self.logits(*self.embed(pictures_BD, sounds_BD))
        is_right = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        right, wrong = F.softplus(-logits[is_right]), F.softplus(logits[~is_right])
        return 0.5 * right.sum() / max(1, len(right)) + 0.5 * wrong.sum() / max(1, len(wrong))


def projector(dim: int) -> nn.Sequential:
    return nn.Sequential(PooledNorm(dim), nn.Linear(dim, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
