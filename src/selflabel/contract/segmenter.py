"""What a segmenter is: a network that learns a class for every pixel from photos of which regions have them.

Axes: B photos of a batch, M photos with regions, K classes, D features, h x w places, S x S pixels at which classes are known.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from selflabel.contract.region_learner import RegionLearner

UNKNOWN = -1  # the class of a pixel that teaches nothing


@dataclass(frozen=True)
class KnownMaps:
    """What a segmenter learns from.

    Attributes:
        photos_M: int64 rows of photos, ascending.
        classes_MSS: int16, of many classes int32: the class of each pixel of the square in which a photo is shown, made smaller;
            or UNKNOWN.
    """

    photos_M: Tensor
    classes_MSS: Tensor


class Segmentation(NamedTuple):
    """What a segmenter gives for photos.

    Attributes:
        soft_BKhw: probabilities of the classes at each place of the square; they sum to one.
        map_BDhw: the encoder's features there.
    """

    soft_BKhw: Tensor
    map_BDhw: Tensor


class Segmenter(RegionLearner):
    """The base of every segmenter. It learns from `KnownMaps`, and gives maps of probabilities."""

    noun = "segmenter"
    known: KnownMaps | None

    @abstractmethod
    def segment(self, pixels: Tensor) -> Segmentation:
        """The classes of photos, in eval mode. pixels: (B, C, px, px), whole frames in squares, values in [0, 1]."""
