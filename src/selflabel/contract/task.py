"""What is known before training."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from selflabel.base.settings import value_for_modality
from selflabel.views import PRESETS


@dataclass(frozen=True)
class Task:
    """What is known before training. Its fields are stored in run.toml.

    Attributes:
        n_items: items of the set.
        clusters: K, from 1 on. None: the method's default; sela-nn estimates it. Runs of 0.3.0 and before have None where 128 was
            the default.
        kind: kind of the first modality, one of those below.
        px: side of a view of the first modality, in pixels; 0 for features.
        channels: channels of such a view.
        mass: cluster sizes: "auto", "uniform", "gaussian", "zipf", "estimated" or "relaxed".
        preset: "paper" for the published network and length, or None.
        epochs: epochs of all phases together, from 1 on. None: the method's default.
        gpu: whether the run trains on a CUDA GPU.
        seed: seed of every random number.
        views: preset of the random views, or one for each modality ("video=photo,audio=sound"); "auto" follows from the kind.
        given_labels: (N,) int64 fixed labels to train on, or None.
        pretrained: whether the encoder of the first modality is pretrained.
        kinds: modality ("image", "video" or "audio") to its kind: "glyph", "photo", "video", "sound", "spoken" or "features".
        text_dim: length of the features of what is said in the items; 0 where no text encoder was named.
    """

    n_items: int
    clusters: int | None
    kind: str
    px: int
    channels: int
    mass: str = "auto"
    preset: str | None = None
    epochs: int | None = None
    gpu: bool = False
    seed: int = 0
    views: str = "auto"
    given_labels: Tensor | None = None
    pretrained: bool = False
    kinds: dict[str, str] = field(default_factory=dict)
    text_dim: int = 0

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities, the pictures or films before their sound."""
        return tuple(self.kinds) or ("image",)

    @property
    def modality(self) -> str:
        """The first modality, which a method of one modality uses."""
        return self.modalities[0]

    @property
    def from_scratch(self) -> bool:
        """Whether the first modality's encoder has random weights and can learn."""
        return self.kind != "features" and not self.pretrained

    def n_clusters(self, default: int) -> int:
        """The number of clusters that the user asked for; else `default`, or the number of items where there are fewer."""
        return min(default, self.n_items) if self.clusters is None else self.clusters

    def kind_of(self, modality: str) -> str:
        """The kind of a modality."""
        return self.kinds.get(modality, self.kind)

    def requested_views(self, modality: str) -> str | None:
        """The preset that the user asked for; None where views follow from the kind."""
        name = value_for_modality(self.views, modality, self.modality)
        return None if name == "auto" else name

    def view_preset(self, modality: str, strength: str = "") -> str:
        """The preset of a random view: the requested one, or that of the modality's kind.

        Args:
            modality: the modality of the view.
            strength: "" or "-strong"; ignored where there is no such preset.
        """
        kind = self.kind_of(modality)
        name = self.requested_views(modality) or {"features": "dropout"}.get(kind, kind)
        return f"{name}{strength}" if f"{name}{strength}" in PRESETS else name
