"""Contrast of pairs by their best place: "Localizing Visual Sounds the Easy Way" (EZ-VSL; Mo & Morgado, ECCV 2022).

Claim: the simplest way to learn where what sounds is suffices. The similarity of a picture and a sound is that of the place that
is most like the sound; the picture's own sound must be more like it than those of other pictures, and the other way round.

What we do otherwise: towers are thinner, and both are trained from scratch; the published image tower is pretrained.

Axes: B items of a batch, D dimensions of the common space, h x w places.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.contract import Batch, Features, Localiser, Phase
from selflabel.methods.option_types import PositiveFloat, PositiveInt, Share
from selflabel.methods.picture_sound import (
    both_present,
    contrast,
    map_dims,
    maps_of_batch,
    own_products,
    phases_of_pairs,
    products,
    unit_vectors,
    without_frames,
)
from selflabel.pretexts.correspondence import Correspondence, PooledNorm

DIM = 128  # of the common space


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `avcontrast`.

    Attributes:
        tau: temperature of the similarities.
        pretext: "correspondence" trains AVE-Net first, for a third of the epochs; "none" trains the method only.
        prior: share of an object map in the heatmap: the mean activation of the pictures' network, which needs no sound; the
            paper has .6, with a network that learned ImageNet.
        batch: items of a batch; each picture is compared with the sounds of all of them.
        lr_scale: factor on the learning rate.
    """

    tau: PositiveFloat = 0.1
    pretext: Literal["correspondence", "none"] = "none"
    prior: Share = 0.0
    batch: PositiveInt = 32
    lr_scale: PositiveFloat = 1.0


def object_map(maps_BDhw: Tensor) -> Tensor:
    """(B, 1, h, w) in [0, 1]: the mean size of a place's features, from the lowest to the highest of each picture."""
    size = maps_BDhw.float().abs().mean(dim=1, keepdim=True)
    low, high = size.amin(dim=(2, 3), keepdim=True), size.amax(dim=(2, 3), keepdim=True)
    return (size - low) / (high - low).clamp(min=1e-6)


class AVContrast(Localiser):
    """See the module's docstring."""

    options_type = Options

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        of_pictures, of_sounds = map_dims(self)
        self.pretext = Correspondence(of_pictures, of_sounds) if self.options.pretext != "none" else None
        self.place_head = nn.Conv2d(of_pictures, DIM, 1)
        self.sound_head = nn.Sequential(PooledNorm(of_sounds), nn.Linear(of_sounds, DIM))

    def phases(self) -> list[Phase]:
        own: Options = self.options
        return phases_of_pairs(self, "contrast", self.loss, self.pretext, own.batch, own.lr_scale)

    def embedded(self, features: Features) -> tuple[Tensor, Tensor]:
        """((B, D, h, w) of the places of the pictures, (B, D) of the sounds), all of length 1."""
        return unit_vectors(self.place_head, self.sound_head, features, self.pictures)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        features = maps_of_batch(self, batch)
        places, sounds = self.embedded(features)
        kept = both_present(self, features, len(places))
        highest = products(places[kept], sounds[kept]).amax(dim=(2, 3))
        return {"contrast": contrast(highest, self.options.tau)}

    def heatmaps(self, features: Features) -> Tensor:
        """Cosines from -1 to 1 as 0 to 1, mixed with the object map where that was asked for."""
        places, sounds = self.embedded(features)
        heat = (own_products(places, sounds)[:, None] + 1) / 2
        prior = self.options.prior
        return (1 - prior) * heat + prior * object_map(without_frames(features.maps[self.pictures])) if prior else heat
