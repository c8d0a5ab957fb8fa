"""What a finder is: where in a picture objects are, from one picture at a time. It may learn from some of them before.

Axes: h x w places of a map, D features, M attention heads, H x W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from selflabel.contract.method import NoOptions


@dataclass(frozen=True)
class Shown:
    """A picture as a finder sees it; there is no padding in it.

    Attributes:
        places_hwD: float32 features of its places, finite.
        pixels_HWC: uint8, the same part of the picture: H is a multiple of h, and W of w.
        layer: which map of the encoder the features are (see `encoders.Encoder.map`).
        attention_Mhw: float32, how much a transformer's class token attends to each place, by head, in the last layer; None where
            the encoder has no such attention.
    """

    places_hwD: np.ndarray
    pixels_HWC: np.ndarray
    layer: str
    attention_Mhw: np.ndarray | None = None


class Region(NamedTuple):
    """An object.

    soft_HW: float32 in [0, 1] on the picture's pixels, above .5 inside. score: 0 to 1, the higher the surer. features: (E,)
    float32 that describe it; None where the mean of its places does.
    """

    soft_HW: np.ndarray
    score: float
    features: np.ndarray | None = None


def shares_inside(region: Region, shown: Shown) -> np.ndarray:
    """(h, w) float32, how much of each place is inside a region; all ones where the pixels are no multiples of the places."""
    h, w, _ = shown.places_hwD.shape
    height, width = region.soft_HW.shape
    if height % h or width % w:
        return np.ones((h, w), np.float32)
    shares = region.soft_HW.reshape(h, height // h, w, width // w).mean(axis=(1, 3))
    return shares if shares.any() else np.ones((h, w), np.float32)


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

    def fit(self, photos: Iterable[Shown], generator: torch.Generator) -> None:
        """Learn from a folder's photos, once, before anything is found; nothing by default.

        Args:
            photos: in random order, those in which nothing is seen left out; they can be gone through again, from the first one
                on. Each is encoded when it is taken: a finder takes as many as it needs, and keeps an amount that does not grow
                with the folder.
            generator: of its random numbers.
        """
        return

    def state(self) -> dict[str, np.ndarray]:
        """What `fit` learned, by name; it is kept in the run's model file. Empty where nothing is learned."""
        return {}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` gave, from a file that may say anything.

        Raises:
            ValueError: it is not what this finder learns.
        """
        if state:
            raise ValueError(f"it holds {min(state)}, which this finder does not learn")

    @abstractmethod
    def find(self, shown: Shown) -> list[Region]:
        """The objects of one picture, by falling score; none where nothing stands out."""
