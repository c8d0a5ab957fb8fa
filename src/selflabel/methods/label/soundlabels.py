"""soundlabels: sounds label their pictures ("Ambient Sound Provides Supervision for Visual Learning", Owens et al., ECCV 2016).

The claim: a network that has to tell from one frame how it sounds there learns to see what sounds. Sounds are labelled once, by
statistics of their texture (`encoders.sound_texture`) and without any network; the picture's network learns the label of the
sound that belongs to it. It is XDC (Alwassel et al., 2020) in one direction and in one round. The paper's numbers were not
checked against its text.

Labels of the sounds are `labels=`:

    kmeans  30 clusters, by cross-entropy
    binary  a code of 30 bits: whether each principal component is above its median, each bit by cross-entropy
    sela    ours: k-means whose clusters all have the same size, by optimal transport (Asano et al., 2020)

Where a cluster is seen is its class activation map (Zhou et al., 2016): what each place adds to the cluster's score. The score is
linear in the features. Of a code it is the expected log-likelihood of the codes in the cluster, for which a bit's logit counts
as often as the bit is set there.

What we do otherwise: the paper transfers the network and labels nothing. Here an item's label is the cluster of sounds that the
network predicts for its picture; an item without a picture has the cluster of its sound. The sound is that of the whole item,
not of 3.75 s around a frame. Pictures or films alone are labelled by first features of their own in place of a sound's.

Axes: N items, B items of a block, K clusters, D numbers of a sound, M outputs of the head, E features, C channels, h x w places.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import (
    centre_log_probs,
    isotropic_variance,
    kmeans,
    squared_distances,
)
from selflabel.assignment.sinkhorn import sinkhorn
from selflabel.base.errors import UserError
from selflabel.base.schedules import epochs_for_budget, one_cycle
from selflabel.contract import (
    Batch,
    Data,
    Features,
    Localiser,
    Outcome,
    Phase,
    Prediction,
    Recipe,
    Relabelling,
    argmax_outcome,
)
from selflabel.encoders.sound_texture import evened_groups
from selflabel.methods.option_types import PositiveFloat

CLUSTERS, BITS = 30, 30
ROUNDS, EPSILON = 10, 0.05  # of balanced k-means, and its temperature in mean squared distances
STARTS = 5  # of k-means, the best of which is kept
SHOWN, FEWEST, MOST, BATCH_SIZE = 30_000, 10, 100, 32  # items shown on a CPU, bounds on the epochs, items of a batch
LR, LR_OF_FEATURES = 1e-3, 1e-2  # of a network, and of a head on features that stay as they are
ABSENT = -100  # the cluster of an item that has no sound


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of soundlabels.

    Attributes:
        labels: what the pictures' network learns of the sounds: their clusters ("kmeans"), a code of 30 bits ("binary"), or
            clusters of equal size ("sela").
        lr_scale: factor on the learning rate.
    """

    labels: Literal["kmeans", "binary", "sela"] = "kmeans"
    lr_scale: PositiveFloat = 1.0


# ------------------------------------------------------------------------------------------------- the labels of the sounds


def binary_codes(x_ND: Tensor, bits: int = BITS) -> Tensor:
    """(N, bits) bool, which principal components are above their medians, the largest component first; False beyond D.

    Args:
        x_ND: rows whose mean is 0.
        bits: components, at most.
    """
    vectors = torch.linalg.eigh(x_ND.double().T @ x_ND.double()).eigenvectors
    components = x_ND.double() @ vectors.flip(1)[:, :bits]
    return F.pad(components > components.median(dim=0).values, (0, max(0, bits - components.shape[1])))


def mean_codes(codes_NM: Tensor, labels_N: Tensor, K: int) -> Tensor:
    """(K, M) how often each bit is set in each cluster; a half in one without items."""
    members = F.one_hot(labels_N, K).float()
    sizes = members.sum(dim=0)[:, None]
    return torch.where(sizes > 0, members.T @ codes_NM.float() / sizes.clamp(min=1), 0.5)


def balanced(x_ND: Tensor, centres_KD: Tensor, rounds: int = ROUNDS) -> tuple[Tensor, Tensor]:
    """K-means in which all clusters have the same size, to within one item: (centres (K, D), labels (N,)).

    In each round items are assigned by optimal transport, and then the centres move to the means of their items.

    Args:
        x_ND: rows.
        centres_KD: to start from.
        rounds: of the two steps.
    """
    N, K = len(x_ND), len(centres_KD)
    centres, labels = centres_KD, torch.zeros(N, dtype=torch.int64)
    for _ in range(rounds):
        distances = squared_distances(x_ND, centres)
        scores = -distances / distances.mean().clamp(min=1e-12)
        labels = sinkhorn(scores, EPSILON, rounding="exact" if N >= K else "argmax").labels
        members = F.one_hot(labels, K).to(x_ND)
        sizes = members.sum(dim=0)[:, None]
        centres = torch.where(sizes > 0, members.T @ x_ND / sizes.clamp(min=1), centres)
    return centres, labels


class SoundClusters(nn.Module):
    """Clusters of sounds, and what is needed to find those of unseen ones. Its buffers get their sizes by `fit`.

    Args:
        K: clusters.
        equal: whether all have the same size.
    """

    mean_D: Tensor
    factors_D: Tensor
    centres_KD: Tensor
    variance: Tensor

    def __init__(self, K: int, equal: bool = False):
        super().__init__()
        self.K, self.equal = K, equal
        self.register_buffer("mean_D", torch.zeros(1))
        self.register_buffer("factors_D", torch.zeros(1))
        self.register_buffer("centres_KD", torch.zeros(K, 1))
        self.register_buffer("variance", torch.ones(()))

    def fit(self, x_ND: Tensor, seed: int) -> Tensor:
        """Find the clusters of a set's sounds, and return them as labels (N,)."""
        self.mean_D, self.factors_D = evened_groups(x_ND)
        x = self.evened(x_ND)
        centres, labels = kmeans(x, self.K, seed=seed, max_iter=50, n_init=STARTS)
        centres, labels = centres.to(x), labels.to(x.device)
        if self.equal:
            centres, labels = balanced(x, centres)
        self.centres_KD = centres
        self.variance = torch.tensor(max(isotropic_variance(x, centres), 1e-9), device=x.device)
        return labels

    def evened(self, x_ND: Tensor) -> Tensor:
        """Numbers of which every group counts the same."""
        return (x_ND.float() - self.mean_D) * self.factors_D

    def forward(self, x_BD: Tensor) -> Tensor:
        """(B, K) log-probabilities of the clusters."""
        return centre_log_probs(self.evened(x_BD), self.centres_KD, self.variance)


# ---------------------------------------------------------------------------------------------------------------- the maps


def contributions(maps_BDhw: Tensor, weight_KE: Tensor) -> Tensor:
    """(B, K, h, w) what each place of a map adds to the score of each cluster; summed over places, the score without its bias.

    Args:
        maps_BDhw: of an encoder whose feature is the map's mean over places (E = D), or the map as one vector (E = D h w).
        weight_KE: of the scores.

    Raises:
        UserError: its feature is neither.
    """
    (_, D, h, w), (K, E) = maps_BDhw.shape, weight_KE.shape
    if E == D:
        return torch.einsum("bdhw,kd->bkhw", maps_BDhw, weight_KE) / (h * w)
    if D * h * w == E:
        return torch.einsum("bdhw,kdhw->bkhw", maps_BDhw, weight_KE.view(K, D, h, w))
    raise UserError(
        "--encoder: the features of this network are no mean of its map, so that no place says what it adds; leave it out."
    )


def stretched(x_BKhw: Tensor) -> Tensor:
    """Maps whose lowest place is 0 and whose highest is 1; 0 everywhere where all places are the same."""
    low, high = (x_BKhw.flatten(2).amin(dim=2), x_BKhw.flatten(2).amax(dim=2))
    return (x_BKhw - low[..., None, None]) / (high - low).clamp(min=1e-12)[..., None, None]


class SoundLabels(Localiser):
    """See the module's docstring."""

    most_clusters = CLUSTERS
    options_type = Options
    encoders_by_default: ClassVar[Mapping[str, str]] = {"audio": "frozen:texture"}
    hears = False
    per_item = ("labels_N", "codes_NM")
    labels_N: Tensor  # clusters of the sounds
    codes_NM: Tensor  # of "binary": their codes
    means_KM: Tensor  # of "binary": the mean code of each cluster; else each cluster by itself

    def __init__(self, task, options: Options):
        super().__init__(task, options)
        if task.modalities != ("audio",) and "audio" in task.modalities and task.kind_of("audio") != "features":
            raise UserError(
                "--encoder audio=...: soundlabels labels sounds as a fixed encoder describes them; leave it out, or write it as "
                "audio=frozen:NAME."
            )
        self.n_classes = task.n_clusters(CLUSTERS)
        self.is_binary = options.labels == "binary"
        self.learner = task.modality
        self.teacher = "audio" if "audio" in task.modalities else task.modality

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(f"class {k}" for k in range(self.n_classes))

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        K, N = self.n_classes, self.task.n_items
        M = BITS if self.is_binary else K
        self.head = nn.Linear(self.dim(self.learner), M)
        self.sounds = SoundClusters(K, equal=self.options.labels == "sela")
        self.register_buffer("means_KM", torch.zeros(K, M) if self.is_binary else torch.eye(K))
        self.register_buffer("labels_N", torch.full((N,), ABSENT, dtype=torch.int32))
        self.register_buffer("codes_NM", torch.zeros(N, M if self.is_binary else 0, dtype=torch.bool))

    def phases(self) -> list[Phase]:
        n, lr = self.task.n_items, LR_OF_FEATURES if self.task.kind_of(self.learner) == "features" else LR
        phase = Phase(
            name="labels of sounds",
            epochs=self.task.epochs or epochs_for_budget(n, SHOWN, FEWEST, MOST, self.task.gpu),
            views={self.learner: (self.task.view_preset(self.learner),)},
            recipe=Recipe(lr * self.options.lr_scale, one_cycle, "adamw", 1e-4),
            loss=self.loss,
            batch_size=BATCH_SIZE if n < 2000 else 4 * BATCH_SIZE,
            relabel_at=(0.0,),
        )
        return [phase]

    def relabel(self, data: Data, generator: torch.Generator) -> Relabelling:
        """The labels of the sounds, once."""
        layer = "pooled" if self.task.kind_of(self.teacher) == "features" else "input"
        x = data.features(self.teacher, layer=layer)
        rows = data.present[self.teacher].nonzero()[:, 0]
        labels = self.sounds.fit(x[rows], self.task.seed)
        self.labels_N.fill_(ABSENT)
        self.labels_N[rows] = labels.to(self.labels_N)
        if self.is_binary:
            self.codes_NM[rows] = binary_codes(self.sounds.evened(x[rows]))
            self.means_KM = mean_codes(self.codes_NM[rows], labels, self.n_classes)
        return Relabelling(self.current_labels())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of the pictures to the labels of their sounds, the mean over items that have both."""
        x, rows = batch.views[self.learner][0].pixels, batch.rows_BG[:, 0]
        targets = self.labels_N[rows].long()
        if self.learner in batch.present:
            targets = targets.masked_fill(~batch.present[self.learner], ABSENT)
        outputs, known = self.head(self.encoders[self.learner](x)).float(), targets != ABSENT
        if self.is_binary:
            codes = self.codes_NM[rows].float()
            losses = F.binary_cross_entropy_with_logits(outputs, codes, reduction="none").mean(dim=1)[known]
        else:
            losses = F.cross_entropy(outputs, targets, ignore_index=ABSENT, reduction="none")[known]
        return {"sound": losses.sum() / known.sum().clamp(min=1)}

    def cluster_head(self) -> tuple[Tensor, Tensor]:
        """(weight (K, E), bias (K,)) of the scores of the clusters."""
        return self.means_KM @ self.head.weight, self.means_KM @ self.head.bias

    def predict(self, features: Features) -> Prediction:
        """By the picture; of items that have none by the sound."""
        pooled, present = features.filled({m: self.dim(m) for m in self.task.modalities})
        log_probs = F.linear(pooled[self.learner].float(), *self.cluster_head()).log_softmax(dim=1)
        if self.teacher != self.learner:
            log_probs = torch.where(present[self.learner][:, None], log_probs, self.sounds(pooled[self.teacher]))
        return Prediction([log_probs])

    def final(self, data: Data, generator: torch.Generator) -> Outcome:
        features = Features({m: data.features(m) for m in self.task.modalities}, data.present)
        sizes = "equal, of the sounds" if self.options.labels == "sela" else "as k-means finds them"
        return argmax_outcome(self.predict(features).log_probs, 0, {"mass": sizes})

    def heatmaps(self, features: Features) -> Tensor:
        """Of each cluster its class activation map, from 0 to its probability."""
        maps = features.maps[self.learner]
        maps = (maps[:, :, 0] if maps.ndim == 5 else maps).float()
        weight, bias = self.cluster_head()
        added = contributions(maps, weight)
        probabilities = (added.sum(dim=(2, 3)) + bias).softmax(dim=1)
        return stretched(added) * probabilities[:, :, None, None]

    def current_labels(self) -> list[Tensor]:
        return [self.labels_N.long().masked_fill(self.labels_N == ABSENT, -1)]
