"""What a detector is: a network that learns boxes with classes from photos in which some regions have them.

Axes: B photos of a batch, M photos with regions, R regions, D features.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from selflabel.contract.region_learner import RegionLearner


@dataclass(frozen=True)
class KnownBoxes:
    """What a detector learns from. Boxes are fractions of the square in which a photo is shown (see `decode.letterbox`).

    Attributes:
        photos_R: int64, the row of the photo that each region is in, ascending.
        boxes_R4: (x0, y0, x1, y1).
        labels_R: int64 class of each, from 0 on.
    """

    photos_R: Tensor
    boxes_R4: Tensor
    labels_R: Tensor

    @property
    def photos_M(self) -> Tensor:
        """Rows of the photos that have regions, ascending."""
        return self.photos_R.unique()


class Detections(NamedTuple):
    """The objects of one photo by falling score.

    Attributes:
        boxes_R4: fractions of the square.
        scores_R: 0 to 1, the higher the surer.
        labels_R: int64 classes, from 0 on.
        features_RD: the mean of the encoder's map inside each box.
    """

    boxes_R4: Tensor
    scores_R: Tensor
    labels_R: Tensor
    features_RD: Tensor


class Detector(RegionLearner):
    """The base of every detector. It learns from `KnownBoxes`, and gives boxes."""

    noun = "detector"
    known: KnownBoxes | None

    @abstractmethod
    def detect(self, pixels: Tensor) -> list[Detections]:
        """The objects of photos, in eval mode. pixels: (B, C, px, px), whole frames in squares, values in [0, 1]."""
