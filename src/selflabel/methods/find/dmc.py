"""DMC: deep multimodal clustering (Hu, Nie & Li, "Deep Multimodal Clustering for Unsupervised Audiovisual Learning", CVPR 2019).

Claim: a scene holds several things that sound. The places of a picture and those of its sound's spectrogram are clustered inside
the network, each by itself, and the centres of both are matched; then each centre of a sound has its places in the picture.

Two forms were published (option `form`). "margin", the paper's own: K clusters with a projection each, which both modalities
share; three rounds in which the places choose clusters by how well they agree with the centres; cluster j of the picture is
compared with cluster j of the sound. "contrast", the authors' later code: soft k-means in four rounds from places that are evenly
apart; every centre of the sound is compared with the nearest centre of the picture.

What we do otherwise: places of both modalities are brought to one width by a 1x1 convolution; every other sound of a batch is a
wrong one, where one is published, so that the expected loss is the same with less noise; towers are thinner.

Axes: B items of a batch, M places, D dimensions of a place, K clusters of a picture, J of a sound, E dimensions of a projection.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.contract import Batch, Features, Localiser, Phase
from selflabel.methods.option_types import PositiveFloat, PositiveInt
from selflabel.methods.picture_sound import both_present, map_dims, maps_of_batch, phases_of_pairs, without_frames

DIM, PROJECTED = 128, 16  # of a place; of a cluster's projection, as published
SHARED, ROUNDS = 10, 3  # clusters and rounds of the form "margin"
STEEPNESS = 10.0  # of the lengths of places
MEANS_ROUNDS, STIFFNESS, APART = 4, 30.0, 5.0  # of "contrast": rounds of k-means, of its assignments; distance of wrong pairs


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `dmc`.

    Attributes:
        form: "margin" (the paper) or "contrast" (the authors' later code).
        objects: clusters of a picture in the form "contrast": the things in it, and one for the background.
        sounds: clusters of a sound in that form: the things that sound at once.
        batch: items of a batch; each picture is compared with the sounds of all of them.
        lr_scale: factor on the learning rate.
    """

    form: Literal["margin", "contrast"] = "margin"
    objects: PositiveInt = 3
    sounds: PositiveInt = 1
    batch: PositiveInt = 32
    lr_scale: PositiveFloat = 1.0


# ------------------------------------------------------------------------------------------------------- the form "margin"


def squashed(places_BMD: Tensor) -> Tensor:
    """Places with lengths below 1: of the same direction, and of the length tanh(10 |x|)."""
    lengths = places_BMD.norm(dim=2, keepdim=True)
    return places_BMD * (torch.tanh(STEEPNESS * lengths) / lengths.clamp(min=1e-6))


def routed(places_BMD: Tensor, projections_KDE: Tensor, rounds: int = ROUNDS) -> tuple[Tensor, Tensor]:
    """Clusters of places, of which each has a projection.

    Args:
        places_BMD: squashed.
        projections_KDE: of each cluster.
        rounds: in each the places choose clusters, and then the centres follow.

    Returns:
        (B, K, E) centres of length 1, and (B, M, K) how much each place belongs to each cluster, of sum 1 over the clusters.
    """
    projected = torch.einsum("bmd,kde->bmke", places_BMD, projections_KDE)
    agreement = projected.new_zeros(projected.shape[:3])
    for _ in range(rounds):
        shares = agreement.softmax(dim=2)
        centres = F.normalize(torch.einsum("bmk,bmke->bke", shares, projected), dim=2)
        agreement = torch.einsum("bke,bmke->bmk", centres, projected)
    return centres, shares


def margin_loss(pictures_BKE: Tensor, sounds_BKE: Tensor) -> Tensor:
    """max(0, K + S(wrong) - S(right)), mean over pictures and wrong sounds; S is the sum of the cosines of equal clusters."""
    scores = torch.einsum("nke,mke->nm", pictures_BKE, sounds_BKE)
    gaps = F.relu(pictures_BKE.shape[1] + scores - scores.diagonal()[:, None])
    return mean_of_wrong(gaps)


# ----------------------------------------------------------------------------------------------------- the form "contrast"


def soft_kmeans(places_BMD: Tensor, k: int, rounds: int = MEANS_ROUNDS) -> tuple[Tensor, Tensor]:
    """Soft k-means of the places of each item, by Euclidean distance, from k places that are evenly apart.

    Returns:
        (B, k, D) centres, and (B, M, k) how much each place belongs to each, of sum 1 over the centres.
    """
    starts = torch.linspace(0, places_BMD.shape[1] - 1, k, device=places_BMD.device).round().long()
    centres = places_BMD[:, starts]
    for _ in range(rounds):
        shares = (-STIFFNESS * distances(places_BMD, centres)).softmax(dim=2)
        weights = shares / shares.sum(dim=1, keepdim=True).clamp(min=1e-6)
        centres = torch.einsum("bmk,bmd->bkd", weights, places_BMD)
    return centres, shares


def distances(points: Tensor, others: Tensor) -> Tensor:
    """(..., P, Q) Euclidean distances of points (..., P, D) and others (..., Q, D); those of equal points have no gradient."""
    squares = points.square().sum(-1)[..., :, None] + others.square().sum(-1)[..., None, :] - 2 * points @ others.mT
    return squares.clamp(min=1e-8).sqrt()


def nearest_distances(pictures_BKD: Tensor, sounds_BJD: Tensor) -> Tensor:
    """(B, B, J) the distance of each centre of sound m to the nearest centre of picture n."""
    return distances(pictures_BKD[:, None], sounds_BJD[None]).amin(dim=2)


def contrast_loss(nearest_BBJ: Tensor) -> Tensor:
    """.5 [y D^2 + (1 - y) max(0, 5 - D)^2], the mean of right pairs and that of wrong ones weighing the same."""
    right = nearest_BBJ.square().mean(dim=2).diagonal().mean()
    wrong = F.relu(APART - nearest_BBJ).square().mean(dim=2)
    return 0.5 * (0.5 * right + 0.5 * mean_of_wrong(wrong))


def mean_of_wrong(values_BB: Tensor) -> Tensor:
    """The mean off the diagonal; 0 of a single pair."""
    n = len(values_BB)
    return (values_BB.sum() - values_BB.diagonal().sum()) / max(1, n * (n - 1))


class DMC(Localiser):
    """See the module's docstring."""

    options_type = Options

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        of_pictures, of_sounds = map_dims(self)
        self.place_head, self.sound_head = nn.Conv2d(of_pictures, DIM, 1), nn.Conv2d(of_sounds, DIM, 1)
        if self.options.form == "margin":
            self.projections_KDE = nn.Parameter(torch.randn(SHARED, DIM, PROJECTED) / math.sqrt(DIM))

    def phases(self) -> list[Phase]:
        own: Options = self.options
        return phases_of_pairs(self, "clusters", self.loss, None, own.batch, own.lr_scale)

    def places(self, features: Features) -> tuple[Tensor, Tensor]:
        """((B, M, D) places of the pictures, (B, M', D) places of the sounds), row by row, in full precision."""
        pictures = self.place_head(without_frames(features.maps[self.pictures]))
        sounds = self.sound_head(features.maps["audio"])
        return pictures.flatten(2).mT.float(), sounds.flatten(2).mT.float()

    def clusters(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """(centres of the pictures, shares (B, M, K) of their places, centres of the sounds)."""
        pictures, sounds = self.places(features)
        with torch.autocast(pictures.device.type, enabled=False):
            if self.options.form == "margin":
                centres, shares = routed(squashed(pictures), self.projections_KDE)
                return centres, shares, routed(squashed(sounds), self.projections_KDE)[0]
            centres, shares = soft_kmeans(pictures, min(self.options.objects, pictures.shape[1]))
            return centres, shares, soft_kmeans(sounds, min(self.options.sounds, sounds.shape[1]))[0]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        features = maps_of_batch(self, batch)
        pictures, _, sounds = self.clusters(features)
        kept = both_present(self, features, len(pictures))
        pictures, sounds = pictures[kept], sounds[kept]
        if self.options.form == "margin":
            return {"clusters": margin_loss(pictures, sounds)}
        return {"clusters": contrast_loss(nearest_distances(pictures, sounds))}

    def heatmaps(self, features: Features) -> Tensor:
        """How much each place belongs to the picture's cluster that agrees most with the sound, or is nearest to one of its."""
        pictures, shares, sounds = self.clusters(features)
        if self.options.form == "margin":
            chosen = (pictures * sounds).sum(dim=2).argmax(dim=1, keepdim=True)
        else:
            chosen = distances(pictures, sounds).argmin(dim=1)
        maps = shares.gather(2, chosen[:, None].expand(-1, shares.shape[1], -1)).amax(dim=2)
        h, w = without_frames(features.maps[self.pictures]).shape[2:]
        return maps.view(-1, 1, h, w)
