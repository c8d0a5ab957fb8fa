"""The base of every method that learns where what sounds is, from pairs of a picture and its sound.

Axes: B items of a block, C channels of a heatmap, D features, h x w places.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from selflabel.contract.data import Data, Features
from selflabel.contract.method import Method
from selflabel.contract.results import Outcome, Prediction

SOUNDING = "sounding"  # the only channel of methods without classes


class Localiser(Method):
    """A method that is trained by the loop as any other, and says by heatmaps where what sounds is.

    Its encoders are those of `pictures` and of "audio"; it takes their maps (`encoders.Encoder.map`).

    Attributes:
        hears: whether its heatmaps depend on the sound. If not, sounds are for training only, and `features` has no map of them.
        takes_solos: whether it learns from a second set, of items in which one thing sounds.
        kept_maps: (N, D, h, w) of the pictures on the CPU, where their tower is not trained and was run once.
        solos: (N,) bool, the items that are of that set; None where there is none. It is set before the phases are asked for.
    """

    max_modalities = 2
    hears: ClassVar[bool] = True
    takes_solos: ClassVar[bool] = False
    kept_maps: Tensor | None = None
    solos: Tensor | None = None

    @property
    def pictures(self) -> str:
        """The modality in which things are found: "image" or "video"."""
        return self.task.modality

    @property
    def channels(self) -> tuple[str, ...]:
        """(C,) names of a heatmap's channels; several are classes, which regions then have."""
        return (SOUNDING,)

    @abstractmethod
    def heatmaps(self, features: Features) -> Tensor:
        """Where what sounds is, in eval mode.

        Args:
            features: with maps of the pictures, (B, D, h, w), and of the sounds, (B, D', h', w').

        Returns:
            (B, C, h, w) in [0, 1], row 0 at the top.
        """

    def predict(self, features: Features) -> Prediction:
        """No labels: heatmaps take their place."""
        return Prediction([])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """No labels: the regions of the heatmaps take their place."""
        return Outcome([], 0, torch.zeros(0, 1))
