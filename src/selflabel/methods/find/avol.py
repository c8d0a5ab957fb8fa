"""AVOL-Net: where what sounds is, by whether picture and sound correspond ("Objects that Sound", ECCV 2018).

Arandjelovic & Zisserman's claim: a network that must tell whether a picture and a sound belong together learns where the thing
that sounds is, if it may look at one place only. Every place of the picture has a vector, the sound has one; their scalar
product, scaled and shifted, goes through a sigmoid, and the highest place is the probability that the two correspond. Vectors are
not normalised, so that background can answer weakly, and a wrong sound has to leave the whole map low.

What we do otherwise: a wrong pair is published as one other sound for each picture. Here every other sound of the batch is one,
and right and wrong pairs weigh the same, so that the expected loss is the published one with less noise. Towers are thinner, and
begin with those of AVE-Net of the same paper, or the single place gets no gradient that says anything for long.
Wrong pairs are made of the sounds of right pairs, so nothing about how a sound was cut can tell the two apart; sounds of films
start when a frame does, too, as the paper demands.

Axes: B items of a batch, D dimensions of the common space, h x w places.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.contract import Batch, Features, Localiser, Phase
from selflabel.methods.option_types import PositiveFloat, PositiveInt
from selflabel.methods.picture_sound import (
    both_present,
    loudest,
    map_dims,
    maps_of_batch,
    own_products,
    phases_of_pairs,
    products,
    without_frames,
)
from selflabel.pretexts.correspondence import Correspondence, PooledNorm

DIM = 128  # of the common space, as published


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `avol`.

    Attributes:
        pretext: "correspondence" trains AVE-Net first, for a third of the epochs; "none" trains the method only, which stays at
            chance for long and ends lower.
        batch: items of a batch; each picture is compared with the sounds of all of them.
        lr_scale: factor on the learning rate.
    """

    pretext: Literal["correspondence", "none"] = "correspondence"
    batch: PositiveInt = 32
    lr_scale: PositiveFloat = 1.0


def correspondence_loss(highest_BB: Tensor) -> Tensor:
    """Binary cross-entropy of picture n with sound m, by the logit of the highest place: right pairs are on the diagonal.

    Right and wrong pairs are half of the loss each.
    """
    is_right = torch.eye(len(highest_BB), dtype=torch.bool, device=highest_BB.device)
    right, wrong = F.softplus(-highest_BB[is_right]), F.softplus(highest_BB[~is_right])
    return 0.5 * right.sum() / max(1, len(right)) + 0.5 * wrong.sum() / max(1, len(wrong))


class AVOL(Localiser):
    """See the module's docstring."""

    options_type = Options

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        of_pictures, of_sounds = map_dims(self)
        self.pretext = Correspondence(of_pictures, of_sounds) if self.options.pretext != "none" else None
        places = (nn.Conv2d(of_pictures, DIM, 1), nn.ReLU(), nn.Conv2d(DIM, DIM, 1))
        sounds = (PooledNorm(of_sounds), nn.Linear(of_sounds, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
        self.place_head, self.sound_head = nn.Sequential(*places), nn.Sequential(*sounds)
        self.scale = nn.Parameter(torch.tensor(1 / math.sqrt(DIM)))
        self.shift = nn.Parameter(torch.zeros(()))

    def phases(self) -> list[Phase]:
        own: Options = self.options
        return phases_of_pairs(self, "correspondence", self.loss, self.pretext, own.batch, own.lr_scale)

    def embedded(self, features: Features) -> tuple[Tensor, Tensor]:
        """((B, D, h, w) of the places of the pictures, (B, D) of the sounds) in the common space."""
        places = self.place_head(without_frames(features.maps[self.pictures]))
        return places.float(), self.sound_head(loudest(features.maps["audio"])).float()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        features = maps_of_batch(self, batch)
        places, sounds = self.embedded(features)
        kept = both_present(self, features, len(places))
        logits = products(places[kept], sounds[kept]) * self.scale + self.shift
        return {"correspondence": correspondence_loss(logits.amax(dim=(2, 3)))}

    def heatmaps(self, features: Features) -> Tensor:
        places, sounds = self.embedded(features)
        return torch.sigmoid(own_products(places, sounds) * self.scale + self.shift)[:, None]
