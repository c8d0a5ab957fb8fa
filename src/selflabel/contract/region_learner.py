"""What learns from the regions of a run: the base of detectors and segmenters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from selflabel.contract.data import Data, Features
from selflabel.contract.method import Method
from selflabel.contract.phase import do_nothing
from selflabel.contract.results import Outcome, Prediction
from selflabel.contract.task import Task


class RegionLearner(Method):
    """It is trained by the loop, and gives regions of photos instead of labels of whole items.

    Args:
        task: n_items photos, and `clusters` classes.
        options: its own.
        known: what it learns from; None for one that only predicts.

    Attributes:
        noun: what it is, for people.
        progress: called with (name of the step, done, in all) where something before the first step takes long.
    """

    noun: ClassVar[str]
    progress: Callable[[str, int, int], None] = staticmethod(do_nothing)

    def __init__(self, task: Task, options: Any, known: Any = None):
        super().__init__(task, options)
        self.known = known

    @property
    def classes(self) -> int:
        """K."""
        return self.task.n_clusters(default=1)

    def predict(self, features: Features) -> Prediction:
        raise TypeError(f"a {self.noun} gives regions of photos, not labels of items")

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        raise TypeError(f"a {self.noun} gives regions of photos, not labels of items")
