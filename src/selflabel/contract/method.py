"""The base of every method.

Axes: N items, B items of a block, K labels, D features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.contract.data import Data, Features
from selflabel.contract.phase import Phase
from selflabel.contract.results import Outcome, Prediction, Relabelling
from selflabel.contract.task import Task


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class NoOptions:
    """The options of a method that has none."""


class Method(nn.Module, ABC):
    """The base of every method; see the module's docstring for the contract.

    Attributes:
        max_modalities: how many modalities it uses.
        chooses_k: whether it estimates the number of clusters where the user gave none; others then have a default.
        most_clusters: the default of a method of many clusters, on many items (see `jobs.build.with_clusters`); None for others.
        takes_given_labels: whether it can train on labels that the user gave (`Task.given_labels`).
        encoders_by_default: modality to the encoder that it takes where the user names none, instead of the one by the items.
        options_type: checked dataclass of its `--set` options.
        per_item: buffers with a row or column for each item: kept in checkpoints, left out of the finished model.
        encoders: modality to encoder.
    """

    max_modalities: int = 1
    chooses_k: ClassVar[bool] = False
    most_clusters: ClassVar[int | None] = None
    takes_given_labels: ClassVar[bool] = False
    encoders_by_default: ClassVar[Mapping[str, str]] = {}
    options_type: type = NoOptions
    per_item: tuple[str, ...] = ()
    encoders: nn.ModuleDict

    def __init__(self, task: Task, options: Any):
        super().__init__()
        self.task, self.options = task, options

    @abstractmethod
    def build(self, encoders: nn.ModuleDict) -> None:
        """Take the encoders (modality to module) and make every head, copy and buffer of every phase."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The phases in order, of a built method. Their lengths follow from the task alone. Empty where nothing is trained."""

    @abstractmethod
    def predict(self, features: Features) -> Prediction:
        """Log-probabilities (B, K) of each head, in eval mode, from pooled features (B, D) of each modality.

        `features.pooled` may lack modalities that the method was trained on: `Features.filled` adds them.
        """

    @abstractmethod
    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        """The finished labelling, with the reported head chosen without truth."""

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling | None:
        """The label turn; None where nothing is relabelled."""
        return None

    @classmethod
    def most_modalities(cls, options: Any) -> int:
        """How many modalities it uses with these options, at most."""
        return cls.max_modalities

    def dim(self, modality: str) -> int:
        """The length of a modality's features."""
        return int(self.encoders[modality].dim)  # type: ignore[arg-type]

    def current_labels(self) -> list[Tensor]:
        """(N,) labels of each head that are trained on now, -1 for an item without one; empty where there are none yet."""
        return []

    def extra_state(self) -> dict:
        """State that is no tensor. It is stored as JSON: tuples come back as lists, and keys that are numbers as strings."""
        return {}

    def load_extra_state(self, state: dict) -> None:
        """Restore what `extra_state` returned."""
