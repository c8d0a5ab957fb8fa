"""What all baselines share: where their features come from, and a phase for a pretext.

Axes: N items, B items of a block, D features, K labels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.base.schedules import epochs_for_budget
from selflabel.contract import Data, Features, Method, Phase
from selflabel.methods.option_types import PositiveInt
from selflabel.pretexts import JOINT_PRETEXTS, AnyPretextName, make_pretext
from selflabel.views import first_features, sound_features

SHORT_RUN_ITEMS = 120_000  # items shown by a pretext in all
DEFAULT_CLUSTERS = 10


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of most baselines.

    Attributes:
        starts: starts of k-means or of the mixture, of which the best is reported.
        pretext: what an encoder learns first; None uses first features. Given or pretrained features are used as they are.
        text: encoder of captions for pretext=milnce, as hf:FOLDER; None takes the sound.
    """

    starts: PositiveInt = 5
    pretext: AnyPretextName | None = None
    text: str | None = None


class FirstFeatures(nn.Module):
    """First features as an encoder without parameters.

    Args:
        kind: kind of the items, as in `Task.kinds`.
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind, self.dim, self.px = kind, 0, 0

    def forward(self, x: Tensor) -> Tensor:
        return sound_features(x, self.kind == "spoken") if self.kind in ("sound", "spoken") else first_features(x)


class Baseline(Method):
    """Features in, labels out. After a joint pretext they are those of both modalities."""

    options_type: type = Options

    @classmethod
    def most_modalities(cls, options: Any) -> int:
        return 2 if options.pretext in JOINT_PRETEXTS and options.text is None else 1

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        self.clusters = task.n_clusters(DEFAULT_CLUSTERS)

    def build(self, encoders: nn.ModuleDict) -> None:
        m = self.task.modality
        if self.learns:
            self.encoders = encoders
            self.pretext = make_pretext(self.options.pretext, encoders, self.task)
        else:
            self.encoders = nn.ModuleDict({m: FirstFeatures(self.task.kind)}) if self.task.from_scratch else encoders

    @property
    def learns(self) -> bool:
        """Whether encoders learn a pretext. Joint ones refuse encoders that cannot."""
        name = self.options.pretext
        return name in JOINT_PRETEXTS or (name is not None and self.task.from_scratch)

    @property
    def width(self) -> int:
        """D of what is clustered."""
        return sum(self.dim(m) for m in self.encoders)

    def clustered(self, features: Features) -> Tensor:
        """(B, D) what is clustered: features of one modality as they are, of several side by side and each of unit length.

        An item has zeros for a modality that it lacks.
        """
        if self.options.pretext not in JOINT_PRETEXTS:
            return features.pooled[self.task.modality]
        pooled, present = features.filled({m: self.dim(m) for m in self.encoders})
        return torch.cat([F.normalize(x.float(), dim=1) * present[m][:, None] for m, x in pooled.items()], dim=1)

    def all_clustered(self, data: Data) -> Tensor:
        """(N, D) what is clustered of all items."""
        return self.clustered(Features({m: data.features(m) for m in self.encoders}, data.present))

    def phases(self) -> list[Phase]:
        if not self.learns:
            return []
        default = epochs_for_budget(self.task.n_items, SHORT_RUN_ITEMS, 20, 120, self.task.gpu)
        if self.task.preset == "paper":
            default = self.pretext.paper_epochs or default
        return [self.pretext.phase(self.encoders, self.task, default if self.task.epochs is None else self.task.epochs)]
