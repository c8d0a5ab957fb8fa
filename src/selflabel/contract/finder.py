"""What a finder is: where in a picture objects are, from one picture at a time and without training.

Axes: h x w places of a map, D features, H x W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from selflabel.contract.method import NoOptions


@dataclass(frozen=True)
class Shown:
    """A picture as a finder sees it; there is no padding in it.

    Attributes:
        places_hwD: float32 features of its places, finite.
        pixels_HWC: uint8, the same part of the picture: H is a multiple of h, and W of w.
        layer: which map of the encoder the features are (see `encoders.Encoder.map`).
    """

    places_hwD: np.ndarray
    pixels_HWC: np.ndarray
    layer: str


class Region(NamedTuple):
    """An object. soft_HW: float32 in [0, 1] on the picture's pixels, above .5 inside. score: 0 to 1, the higher the surer."""

    soft_HW: np.ndarray
    score: float


class Finder(ABC):
    """The base of every finder.

    Attributes:
        options_type: checked dataclass of its `--set` options.
        layers: maps of the encoder that it can use, the best one first.
    """

    options_type: ClassVar[type] = NoOptions
    layers: ClassVar[tuple[str, ...]] = ("map",)

    def __init__(self, options: Any):
        self.options = options

    @abstractmethod
    def find(self, shown: Shown) -> list[Region]:
        """The objects of one picture, by falling score; none where nothing stands out."""
