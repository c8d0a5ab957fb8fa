"""A set that is ready to train on: its items, and one tensor for each modality with its encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from selflabel.contract import Texts
from selflabel.decode.look import MediaInfo
from selflabel.encoders import JoinedBackbones, feature_or_image_encoder, names_of_parts
from selflabel.items import Items
from selflabel.jobs.prepare.choices import SOUND_KINDS, takes_waves
from selflabel.training.data import ResidentData
from selflabel.training.distributed import Ranks
from selflabel.training.stored import Stored, StoredClips, StoredFeatures, StoredImages, StoredSounds

SPACES = ("space_dims", "space_weights", "sides")  # attributes of a modality of several feature spaces


@dataclass(frozen=True)
class Modality:
    """One modality of a set, and how it is shown to which encoder.

    Attributes:
        info: what the items are.
        px: side of a view; of a spectrogram its height; 0 for feature input.
        channels: of a view.
        encoder: its name.
        weights: .safetensors file of pretrained weights; of several backbones the files with + between.
        sha256: of the file of pretrained weights, of several with + between; "" where they are random.
        network: description of a model of transformers (see `encoders.hf.Network`); None of other encoders.
        backbone: the fixed backbone that computed `tensor`, where there is one.
        tensor: (M, ...) stored items; given features may be `items.shards.ShardedRows`.
        lengths, index, spans_s: as in `training.stored.Stored`.
        files: modalities of the files that given features belong to.
        space_dims: lengths of several feature spaces that lie side by side in `tensor`; empty for a single one.
        space_weights: of each space (see `assignment.spaces`).
        sides: of several fixed backbones, the side at which each is shown the items.
        whole: whether pictures and frames are kept whole, with padding beside them (see `decode.letterbox`); else their middle
            squares.
        sizes: (N, 2) width and height of the upright originals of pictures that are kept whole.
    """

    info: MediaInfo
    px: int
    channels: int
    encoder: str
    weights: str | None = None
    sha256: str = ""
    network: str | None = None
    backbone: nn.Module | None = None
    tensor: Any = None
    lengths: np.ndarray | None = None
    index: np.ndarray | None = None
    spans_s: np.ndarray | None = None
    files: tuple[str, ...] = ()
    space_dims: tuple[int, ...] = ()
    space_weights: tuple[float, ...] = ()
    sides: tuple[int, ...] = ()
    whole: bool = False
    sizes: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """Kind of the stored items; a fixed backbone leaves features."""
        return "features" if self.backbone is not None else self.info.kind

    def stored(self) -> Stored:
        """The tensor as the training data holds it."""
        lengths = None if self.lengths is None else torch.from_numpy(self.lengths).long()
        index = None if self.index is None else torch.from_numpy(self.index)
        spans = None if self.spans_s is None else torch.from_numpy(self.spans_s)
        common: Any = {"items": self.tensor, "kind": self.kind, "lengths": lengths, "index": index, "spans_s": spans}
        if self.kind == "features":
            return StoredFeatures(**common)
        if self.kind in SOUND_KINDS:
            return StoredSounds(**common, rate=int(self.info.rate), bands=self.px, as_waves=takes_waves(self.encoder))
        if self.kind == "video":
            return StoredClips(**common, frames=self.info.frames, consecutive=self.info.rate > 0, rate=self.info.rate)
        return StoredImages(**common, px=self.px)

    def make_encoder(self, feature_dim: int = 0, fetch: bool = True) -> nn.Module:
        """The encoder of what is stored: of images, videos or spectrograms, or the standardisation of features.

        Args:
            feature_dim: length of a feature vector, where features are stored.
            fetch: allow a timm backbone to download its pretrained weights.
        """
        if self.kind != "features" and self.sides:
            return JoinedBackbones([part.make_encoder(fetch=fetch) for part in self.parts()], self.sides)
        return feature_or_image_encoder(
            self.kind,
            self.encoder,
            self.channels,
            self.px,
            frames=self.info.frames,
            feature_dim=feature_dim,
            space_dims=self.space_dims,
            weights=Path(self.weights) if self.weights else None,
            fetch=fetch,
            network=self.network,
            rate=int(self.info.rate),
        )

    def parts(self) -> list[Modality]:
        """The modality as each of several backbones is shown it."""
        names, n = names_of_parts(self.encoder), len(self.sides)
        files = self.weights.split("+") if self.weights else [""] * n
        shown = zip(names, files, self.sides, strict=True)
        return [replace(self, encoder=name, weights=file or None, px=px, sides=()) for name, file, px in shown]


@dataclass(frozen=True)
class Prepared:
    """A set that is ready to train on.

    Attributes:
        items: those that could be decoded.
        modalities: "image", "video" or "audio" to what is stored of it; the first one is the main one.
        cut: how many windows the files were cut into, for people; "" where they were not.
        texts: what is said in the items; None where no text encoder was named.
    """

    items: Items
    modalities: dict[str, Modality]
    cut: str = ""
    texts: Texts | None = None

    @property
    def first(self) -> Modality:
        """The main modality."""
        return next(iter(self.modalities.values()))

    def dataset(self, device: torch.device, ranks: Ranks, seed: int) -> ResidentData:
        """The set as methods see it."""
        data = ResidentData({m: modality.stored() for m, modality in self.modalities.items()}, device, ranks, seed)
        data.texts = self.texts
        return data
