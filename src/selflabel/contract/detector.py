"""What a detector is: a network that learns boxes with classes from photos in which some regions have them.

Axes: B photos of a batch, R regions, D features.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selflabel.contract.data import Data, Features
from selflabel.contract.method import Method
from selflabel.contract.phase import do_nothing
from selflabel.contract.results import Outcome, Prediction
from selflabel.contract.task import Task


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


class Detector(Method):
    """The base of every detector. It is trained by the loop, and gives boxes instead of labels of whole items.

    Args:
        task: n_items photos, and `clusters` classes.
        options: its own.
        known_boxes: what it learns from; None for one that only detects.

    Attributes:
        progress: called with (name of the step, done, in all) where something before the first step takes long.
    """

    progress: Callable[[str, int, int], None] = staticmethod(do_nothing)

    def __init__(self, task: Task, options: Any, known_boxes: KnownBoxes | None = None):
        super().__init__(task, options)
        self.known_boxes = known_boxes

    @abstractmethod
    def detect(self, pixels: Tensor) -> list[Detections]:
        """The objects of photos, in eval mode. pixels: (B, C, px, px), whole frames in squares, values in [0, 1]."""

    def predict(self, features: Features) -> Prediction:
        raise TypeError("a detector gives boxes; see `detect`")

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        raise TypeError("a detector gives boxes; see `detect`")
