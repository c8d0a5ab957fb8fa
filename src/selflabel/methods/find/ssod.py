"""SSOD: self-supervised object detection from audio-visual correspondence (Afouras, Asano, Fagan, Vedaldi & Metze, CVPR 2022).

Claim (abstract): heatmaps that are learned by contrast of pictures and sounds, with classes that come from self-labelling, are
enough to train an object detector: boxes with classes, several in a picture, of silent things as well. No label is given.

The paper's code was never published, and not all of its details are known. What stands here: the contrast of best places (as
in `avcontrast`) gives the heatmap of a pair. A picture is described by its places, weighted by their similarity to the sound, and
the sound by itself; a linear head on each learns one label, which is solved from both as in SeLaVi: classes of equal size, by
optimal transport with the geometric mean of both heads' posteriors. The first labels are k-means of both descriptions side by
side. A heatmap of class k is the pair's heatmap times the probability of k by both heads together, so that a pair about which
they disagree gives a faint one. The detector is `selflabel teach RUN`, on the boxes and classes of a run of this method.

Axes: B items of a batch, N items, D features, K classes, h x w places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.sinkhorn import sinkhorn
from selflabel.base.schedules import epochs_for_budget, scale_epochs
from selflabel.contract import Batch, Data, Features, Localiser, Phase, Relabelling
from selflabel.methods.option_types import PositiveFloat, PositiveInt
from selflabel.methods.picture_sound import (
    FEWEST,
    MOST,
    SHOWN,
    both_present,
    contrast,
    map_dims,
    maps_of_batch,
    own_products,
    pairs_phase,
    products,
    unit_vectors,
)
from selflabel.pretexts.correspondence import PooledNorm

DIM = 128  # of the common space of places and sounds
CLASSES, N_INIT = 10, 5  # where the user says none; starts of k-means
ABSENT = -1  # the label of an item that lacks its picture or its sound


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `ssod`.

    Attributes:
        tau: temperature of the similarities.
        lamb: inverse temperature of the solve (SeLaVi's lambda).
        solves: label solves after the first labels, evenly over the second half of the training.
        batch: items of a batch.
        lr_scale: factor on the learning rate.
    """

    tau: PositiveFloat = 0.1
    lamb: PositiveFloat = 20.0
    solves: PositiveInt = 10
    batch: PositiveInt = 32
    lr_scale: PositiveFloat = 1.0


def weighted_places(places_BDhw: Tensor, cosines_Bhw: Tensor, tau: float) -> Tensor:
    """(B, D) the mean of a picture's places, weighted by the softmax of their similarity to the sound over a temperature."""
    weights = (cosines_Bhw.flatten(1) / tau).softmax(dim=1)
    return torch.einsum("bdp,bp->bd", places_BDhw.flatten(2), weights)


def first_labels(described_ND: Tensor, k: int, seed: int) -> Tensor:
    """(N,) labels of classes of equal size: transport to the centres of k-means. described_ND: rows of length 1."""
    centres = F.normalize(kmeans(described_ND, k, seed, n_init=N_INIT, spherical=True)[0], dim=1)
    return sinkhorn(described_ND @ centres.T, epsilon=1 / 25).labels


class SSOD(Localiser):
    """See the module's docstring."""

    options_type = Options
    per_item = ("labels_N",)
    labels_N: Tensor

    @property
    def n_classes(self) -> int:
        """K."""
        return self.task.n_clusters(default=CLASSES)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(f"class {k}" for k in range(self.n_classes))

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        (of_pictures, of_sounds), k = map_dims(self), self.n_classes
        self.place_head = nn.Conv2d(of_pictures, DIM, 1)
        self.sound_head = nn.Sequential(PooledNorm(of_sounds), nn.Linear(of_sounds, DIM))
        self.picture_classes, self.sound_classes = nn.Linear(DIM, k), nn.Linear(DIM, k)
        self.register_buffer("labels_N", torch.full((self.task.n_items,), ABSENT))
        self.is_labelled = False

    def phases(self) -> list[Phase]:
        o: Options = self.options
        total = self.task.epochs or epochs_for_budget(self.task.n_items, SHOWN, FEWEST, MOST, self.task.gpu)
        before, after = scale_epochs([1, 1], max(total, 2))
        times = tuple(after * i / o.solves for i in range(o.solves))
        return [
            pairs_phase(self, "contrast", self.contrast_loss, before, o.batch, o.lr_scale),
            pairs_phase(self, "self-label", self.label_loss, after, o.batch, o.lr_scale, relabel_at=times),
        ]

    # ----------------------------------------------------------------------------------------------------------- losses

    def embedded(self, features: Features) -> tuple[Tensor, Tensor]:
        """((B, D, h, w) of the places of the pictures, (B, D) of the sounds), all of length 1."""
        return unit_vectors(self.place_head, self.sound_head, features, self.pictures)

    def contrast_of(self, features: Features, kept: Tensor) -> Tensor:
        """The loss of `avcontrast`, of the items that are kept."""
        places, sounds = self.embedded(features)
        return contrast(products(places[kept], sounds[kept]).amax(dim=(2, 3)), self.options.tau)

    def contrast_loss(self, batch: Batch) -> dict[str, Tensor]:
        features = maps_of_batch(self, batch)
        return {"contrast": self.contrast_of(features, both_present(self, features, len(batch.rows_BG)))}

    def label_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast, and the cross-entropy of both heads to the items' labels."""
        features = maps_of_batch(self, batch)
        kept = both_present(self, features, len(batch.rows_BG))
        labels = self.labels_N[batch.rows_BG[:, 0].to(self.labels_N.device)]
        known = kept & (labels >= 0)
        losses = [
            F.cross_entropy(s[known], labels[known], reduction="sum") / max(1, int(known.sum())) for s in self.scores(features)
        ]
        return {"contrast": self.contrast_of(features, kept), "label": torch.stack(losses).mean()}

    def described(self, features: Features) -> tuple[Tensor, Tensor]:
        """(B, D) of pictures, by their places that are like the sound, and of sounds, all of length 1."""
        places, sounds = self.embedded(features)
        cosines = own_products(places, sounds).detach()
        return F.normalize(weighted_places(places, cosines, self.options.tau), dim=1), sounds

    def scores(self, features: Features) -> tuple[Tensor, Tensor]:
        """(B, K) logits of the classes by the picture, and by the sound."""
        picture, sound = self.described(features)
        return self.picture_classes(picture / self.options.tau).float(), self.sound_classes(sound / self.options.tau).float()

    # ----------------------------------------------------------------------------------------------------------- labels

    def log_posterior(self, features: Features) -> Tensor:
        """(B, K) log of the geometric mean of both heads' posteriors, not normalised."""
        return torch.stack([s.log_softmax(dim=1) for s in self.scores(features)]).mean(dim=0)

    @torch.no_grad()
    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """Labels of equal size, from both heads; the first ones from the descriptions that contrast has learned."""
        rows, described, scores = [], [], []
        for block, features in data.blocks(maps=True):
            kept = both_present(self, features, len(block)).cpu()
            rows.append(block.cpu()[kept])
            described.append(F.normalize(torch.cat(self.described(features), dim=1), dim=1).cpu()[kept])
            scores.append(self.log_posterior(features).cpu()[kept])
        if not self.is_labelled:
            seed = int(torch.randint(1 << 30, (1,), generator=generator))
            labels, solved = first_labels(torch.cat(described), self.n_classes, seed), None
        else:
            solved = sinkhorn(torch.cat(scores), epsilon=1 / self.options.lamb)
            labels = solved.labels
        self.labels_N[torch.cat(rows)] = labels.to(self.labels_N)
        self.is_labelled = True
        if solved is None:
            return Relabelling(self.current_labels())
        return Relabelling(self.current_labels(), error=solved.error, n_iter=solved.n_iter, converged=solved.converged)

    def heatmaps(self, features: Features) -> Tensor:
        """The pair's cosines from -1 to 1 as 0 to 1, times the probability of each class by both heads together."""
        heat = (own_products(*self.embedded(features)) + 1) / 2
        return heat[:, None] * self.log_posterior(features).softmax(dim=1)[:, :, None, None]

    def current_labels(self) -> list[Tensor]:
        return [self.labels_N.long()] if self.is_labelled else []

    def extra_state(self) -> dict:
        return {"is_labelled": self.is_labelled}

    def load_extra_state(self, state: dict) -> None:
        self.is_labelled = bool(state.get("is_labelled"))
