"""Patches of photos as items: the places of an encoder's map, without those that show the padding.

Labels are learned on a sample of them, which is small enough for memory however many photos there are. All others get theirs
when photos are shown a second time (see `jobs.dense`).

Axes: P patches, D features of a place, d of them that are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.assignment.neighbours import leading_directions
from selflabel.base.errors import UserError
from selflabel.contract import Shown
from selflabel.decode.look import MediaInfo
from selflabel.encoders import FROZEN
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import NO_NUMBERS, shown_photos
from selflabel.jobs.prepare.photos import Photos
from selflabel.jobs.prepare.prepared import Modality, Prepared

LAYERS = ("stages",)  # of the encoder
MOST_PHOTOS, MOST_PATCHES = 1000, 8000  # of the sample
DIMENSIONS = 64  # directions of the features that are kept
LEAST = 1e-12  # length of the features of a map that says nothing
MEAN, BASIS = "patches.mean", "patches.basis"  # of the tensors of model.safetensors


@dataclass(frozen=True)
class PatchSpace:
    """How features of places become those by which patches are labelled: centred, in their leading directions, of unit length.

    What all patches of a folder share says nothing about their classes, hence the centring. Maps of several stages, side by side,
    are brought to the same mean length, so that none dominates.

    Attributes:
        mean: (D,) of the sample.
        basis: (D, d) scales and directions.
    """

    mean: Tensor
    basis: Tensor

    @classmethod
    def fit(cls, features_PD: Tensor, dims: Sequence[int]) -> PatchSpace:
        """The space of a sample. dims: of the maps that stand side by side; their sum is D."""
        mean = features_PD.mean(dim=0)
        lengths = torch.stack([part.norm(dim=1).mean() for part in (features_PD - mean).split(list(dims), dim=1)])
        scale_D = (1 / lengths.clamp_min(LEAST)).repeat_interleave(torch.tensor(dims))
        directions = leading_directions((features_PD - mean) * scale_D, min(DIMENSIONS, len(mean)))
        return cls(mean, scale_D[:, None] * directions)

    def __call__(self, features_PD: Tensor) -> Tensor:
        """(P, d) of features of places."""
        return F.normalize((features_PD - self.mean) @ self.basis, dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """As model.safetensors keeps it."""
        return {MEAN: self.mean, BASIS: self.basis}


@dataclass(frozen=True)
class PatchSample:
    """Patches on which labels are learned.

    Attributes:
        prepared: they, as features.
        space: that of the features.
        photos: (P,) int64, the row of the photo that each is of, ascending.
    """

    prepared: Prepared
    space: PatchSpace
    photos: np.ndarray


@torch.no_grad()
def sample_patches(photos: Photos, encoder: nn.Module, seed: int, device: torch.device, callbacks: Callbacks) -> PatchSample:
    """Equally many patches of every photo, at random; of many photos those of a sample.

    Args:
        photos: decoded.
        encoder: on the device, in eval mode.
        seed: of the random choice.
        device: of the encoder.
        callbacks: progress.

    Raises:
        UserError: the encoder has no map, or what it makes of every photo is no finite number.
    """
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(photos.items))[:MOST_PHOTOS])
    each = math.ceil(MOST_PATCHES / len(rows))
    features, of_photos = list[np.ndarray](), list[int]()
    for done, (row, shown) in enumerate(shown_patches(photos, encoder, device, rows), 1):
        places = shown.places_hwD.reshape(-1, shown.places_hwD.shape[2])
        if np.isfinite(places).all():
            own = places[np.sort(random.permutation(len(places))[:each])]
            features.append(own)
            of_photos += [row] * len(own)
        callbacks.on_progress("looking at a sample of patches", done, len(rows))
    if not features:
        raise UserError(f"{photos.items.source}: nothing can be labelled in any of its photos: {NO_NUMBERS}.")
    sample = torch.from_numpy(np.concatenate(features))
    space = PatchSpace.fit(sample, stage_dims(encoder, photos.modality, device))
    modality = Modality(MediaInfo("features", 0), 0, 0, FROZEN, tensor=space(sample).numpy())
    items = Items(photos.items.source, [photos.items.paths[row] for row in of_photos])
    return PatchSample(Prepared(items, {"image": modality}), space, np.array(of_photos, np.int64))


def stage_dims(encoder: nn.Module, modality: Modality, device: torch.device) -> list[int]:
    """The lengths of the features of the encoder's stages."""
    blank = torch.zeros(1, modality.channels, modality.px, modality.px, device=device)
    return [stage.shape[1] for stage in encoder.stages(blank)]  # type: ignore[operator]


def shown_patches(
    photos: Photos, encoder: nn.Module, device: torch.device, rows: np.ndarray | None = None
) -> Iterator[tuple[int, Shown]]:
    """(row, features of its places and its pixels) of photos, a block at a time. rows: ascending; None for all."""
    chosen = None if rows is None else torch.from_numpy(rows)
    yield from shown_photos(photos, LAYERS, encoder, device, chosen)
