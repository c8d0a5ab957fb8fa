"""DSOL: discriminative sounding objects (Hu et al., "Discriminative Sounding Objects Localization via Self-supervised
Audiovisual Matching", NeurIPS 2020).

Claim: learn what things look like from pictures in which one thing sounds ("solos"); then, in scenes of several things, show
where each class is, and silence what does not sound.

Stage one, on solos, alternates. Localisation: the cosine of every place with the sound, scaled, through a sigmoid, is the
map; its maximum says whether picture and sound belong together. Labels: the mean of the places' features under the map, of
length 1, is the object vector; these are clustered, and two fresh linear heads learn the clusters from picture and sound. The
dictionary is the mean object vector of each cluster. Stage two, on scenes: the map of class k is w <place, d_k> + b, times
the sounding map; the softmax over classes of its mean is drawn to what the sound's head says of the mixed sound (Kullback-
Leibler divergence), and in a wrong pair the maximum of each quarter of the picture is pushed down.

What we do otherwise: `labels=sela` assigns object vectors to classes of equal size by optimal transport, from the second
round on by what the heads of picture and sound say together. Places and dictionary are compared by cosine after their common
mean is taken off, because features that are never negative are alike. Heatmaps are the softmax over classes of w <place, d_k> +
b, times a weight from a half to one that grows with the sounding map; the paper shows the softmax over classes of 3 times the
maps of stage two, in which a rough sounding map hides the shape of things. Every other sound of a batch is a wrong one. Towers
are thinner. A pretrained tower of pictures stays as it is, and its maps are computed once.

Axes: B items of a batch, N items, D features, K classes, h x w places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked
from torch import Tensor, nn

from selflabel.assignment.kmeans import kmeans
from selflabel.assignment.sinkhorn import sinkhorn
from selflabel.base.schedules import epochs_for_budget, one_cycle
from selflabel.contract import Batch, Data, Features, Localiser, Phase, Recipe, do_nothing
from selflabel.methods.option_types import PositiveFloat, PositiveInt
from selflabel.methods.picture_sound import (
    LR,
    SCENE,
    WEIGHT_DECAY,
    both_present,
    fixed_parts,
    is_fixed,
    loudest,
    map_dims,
    maps_of_batch,
    own_products,
    products,
    unit_vectors,
    without_frames,
)

DIM = 128  # of the common space of places and sounds
SCALE = 5.0  # of cosines at first
SEEN = 0.05  # of the map, from which on a place belongs to the object
CLASSES, N_INIT = 10, 5  # where the user says none; starts of k-means
EPSILON, TURNS = 1 / 25, 10  # of transport, and its rounds from the first labels
LOCATION = 0.5  # weight of the location loss in stage two
SOLOS_SHOWN, SCENES_SHOWN = 12_000, 6_000  # items shown on a CPU
FEWEST, MOST = 8, 200  # epochs of a stage


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `dsol`.

    Attributes:
        labels: how object vectors get their classes: "sela", classes of equal size by transport, or "kmeans", as published.
        rounds: of localisation and labels, in turns.
        batch: items of a batch.
        lr_scale: factor on the learning rate.
    """

    labels: Literal["kmeans", "sela"] = "sela"
    rounds: PositiveInt = 4
    batch: PositiveInt = 32
    lr_scale: PositiveFloat = 1.0


class Described(NamedTuple):
    """Of every item, on the CPU: its object vector, and the log-probabilities of the classes by its picture and by its sound."""

    vectors_ND: Tensor
    pictures_NK: Tensor
    sounds_NK: Tensor


def object_vectors(places_BDhw: Tensor, maps_Bhw: Tensor) -> Tensor:
    """(B, D) of length 1: the mean over the map of the places' features, where the map or a place beside it is above SEEN."""
    seen = F.max_pool2d((maps_Bhw > SEEN).float()[:, None], 3, 1, 1)
    return F.normalize((places_BDhw * seen * maps_Bhw[:, None]).mean(dim=(2, 3)), dim=1)


def transported(vectors_ND: Tensor, k: int, seed: int) -> Tensor:
    """(N,) labels of classes of equal size: rows of length 1 are assigned to centres, which then follow, in turns."""
    centres = F.normalize(kmeans(vectors_ND, k, seed, n_init=N_INIT, spherical=True)[0], dim=1)
    labels = torch.zeros(len(vectors_ND), dtype=torch.int64)
    for _ in range(TURNS):
        labels = sinkhorn(vectors_ND @ centres.T, epsilon=EPSILON).labels.cpu()
        centres = F.normalize(F.one_hot(labels, k).float().T @ vectors_ND, dim=1)
    return labels


def quarter_maxima(maps: Tensor) -> Tensor:
    """(..., 4) the highest value of each quarter of maps (..., h, w)."""
    halves = [half for part in maps.tensor_split(2, dim=-2) for half in part.tensor_split(2, dim=-1)]
    return torch.stack([half.amax(dim=(-2, -1)) if half.numel() else maps.amax(dim=(-2, -1)) for half in halves], dim=-1)


def location_loss(logits_BBhw: Tensor, mixed: bool = False) -> Tensor:
    """Binary cross-entropy of the highest place of picture n with sound m, half of it over right pairs and half over wrong ones.

    Args:
        logits_BBhw: right pairs are on the diagonal.
        mixed: of wrong pairs the highest place of each quarter counts, since several things are in a scene.
    """
    is_right = torch.eye(len(logits_BBhw), dtype=torch.bool, device=logits_BBhw.device)
    right = F.softplus(-logits_BBhw[is_right].amax(dim=(1, 2)))
    wrong = logits_BBhw[~is_right]
    highest = quarter_maxima(wrong) if mixed else wrong.amax(dim=(1, 2))
    return 0.5 * right.sum() / max(1, right.numel()) + 0.5 * F.softplus(highest).sum() / max(1, highest.numel())


def distribution_loss(maps_BKhw: Tensor, heard_BK: Tensor) -> Tensor:
    """KL(what is heard || softmax over classes of the mean of each class's map), mean over pictures."""
    return F.kl_div(maps_BKhw.mean(dim=(2, 3)).log_softmax(dim=1), heard_BK, reduction="batchmean")


class DSOL(Localiser):
    """See the module's docstring."""

    options_type = Options
    takes_solos = True
    per_item = ("labels_N", "heard_NK")
    labels_N: Tensor  # classes of the solos, -1 for scenes
    heard_NK: Tensor  # what the head of stage one says of every sound
    dictionary_KD: Tensor
    mean_D: Tensor  # of the object vectors

    def build(self, encoders: nn.ModuleDict) -> None:
        self.encoders = encoders
        (of_pictures, of_sounds), k = map_dims(self), self.n_classes
        self.place_head = nn.Sequential(nn.Conv2d(of_pictures, DIM, 1), nn.ReLU(), nn.Conv2d(DIM, DIM, 1))
        self.sound_head = nn.Sequential(nn.Linear(of_sounds, DIM), nn.ReLU(), nn.Linear(DIM, DIM))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.picture_classes, self.sound_classes = nn.Linear(of_pictures, k), nn.Linear(of_sounds, k)
        self.class_scale, self.class_shift = nn.Parameter(torch.tensor(SCALE)), nn.Parameter(torch.tensor(0.0))
        self.register_buffer("dictionary_KD", F.normalize(torch.randn(k, of_pictures), dim=1))
        self.register_buffer("mean_D", torch.zeros(of_pictures))
        self.register_buffer("labels_N", torch.full((self.task.n_items,), -1))
        self.register_buffer("heard_NK", torch.full((self.task.n_items, k), 1 / k))
        self.is_trained = False

    @property
    def n_classes(self) -> int:
        """K."""
        return self.task.n_clusters(default=CLASSES)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(f"class {k}" for k in range(self.n_classes))

    @property
    def is_solo(self) -> Tensor:
        """(N,) bool; all items, where the user gave no solos of their own."""
        return torch.ones(self.task.n_items, dtype=torch.bool) if self.solos is None else self.solos

    # ----------------------------------------------------------------------------------------------------------- phases

    def phases(self) -> list[Phase]:
        rounds, solos = self.options.rounds, self.is_solo.nonzero()
        scenes = (~self.is_solo).nonzero()
        gpu, asked = self.task.gpu, self.task.epochs
        share = (asked or epochs_for_budget(len(solos), SOLOS_SHOWN, FEWEST, MOST, gpu)) / (2 * rounds + (1 if asked else 0))
        lengths = [max(1, round(share))] * rounds
        phases = []
        for i, epochs in enumerate(lengths):
            phases.append(self.phase(f"localise {i + 1}", epochs, self.localise, solos))
            phases.append(self.phase(f"classes {i + 1}", epochs, self.classify, solos, self.solve_classes))
        if len(scenes):
            epochs = lengths[0] if asked else epochs_for_budget(len(scenes), SCENES_SHOWN, FEWEST, MOST, gpu)
            phases.append(self.phase("scenes", epochs, self.scenes_loss, scenes, self.listen))
        return phases

    def phase(
        self,
        name: str,
        epochs: int,
        loss: Callable[[Batch], dict[str, Tensor]],
        rows: Tensor,
        start: Callable[[Data, torch.Generator], None] = do_nothing,
    ) -> Phase:
        """A phase on some of the items, (M, 1) rows."""
        views: dict[str, tuple[str, ...]] = {"audio": (self.task.view_preset("audio"),)}
        if not is_fixed(self):
            views = {self.pictures: (self.task.requested_views(self.pictures) or SCENE,), **views}

        def draw(epoch: int, generator: torch.Generator) -> Tensor:
            order = rows[torch.randperm(len(rows), generator=generator)]
            return order if len(order) > 1 else order.repeat(2, 1)

        recipe = Recipe(LR * self.options.lr_scale, one_cycle, "adamw", WEIGHT_DECAY)
        together = (self.pictures, "audio") if self.pictures == "video" else ()
        return Phase(
            name,
            epochs,
            views,
            recipe,
            loss,
            self.options.batch,
            draw=draw,
            start=start,
            together=together,
            **fixed_parts(self),
        )

    # -------------------------------------------------------------------------------------------------------- stage one

    def logits(self, features: Features) -> Tensor:
        """(B, B, h, w) of every picture with every sound."""
        places, sounds = self.embedded(features)
        return products(places, sounds) * self.scale

    def embedded(self, features: Features) -> tuple[Tensor, Tensor]:
        """((B, D, h, w) of the places of the pictures, (B, D) of the sounds), all of length 1."""
        return unit_vectors(self.place_head, self.sound_head, features, self.pictures)

    def sounding(self, features: Features) -> Tensor:
        """(B, h, w) in [0, 1], the map of every picture with its own sound."""
        return torch.sigmoid(own_products(*self.embedded(features)) * self.scale)

    def localise(self, batch: Batch) -> dict[str, Tensor]:
        """Localisation on solos."""
        features = maps_of_batch(self, batch)
        logits = self.logits(features)
        kept = both_present(self, features, len(logits))
        return {"location": location_loss(logits[kept][:, kept])}

    def class_scores(self, features: Features) -> tuple[Tensor, Tensor]:
        """Scores (B, K) of the classes by the picture and by the sound."""
        picture = without_frames(features.maps[self.pictures]).mean(dim=(2, 3))
        return self.picture_classes(picture).float(), self.sound_classes(loudest(features.maps["audio"])).float()

    def classify(self, batch: Batch) -> dict[str, Tensor]:
        """The classes of solos, learned by both heads."""
        features = maps_of_batch(self, batch)
        picture, sound = self.class_scores(features)
        labels = self.labels_N[batch.rows_BG[:, 0].to(picture.device)]
        known = both_present(self, features, len(picture)) & (labels >= 0)
        losses = [F.cross_entropy(s[known], labels[known], reduction="sum") / max(1, int(known.sum())) for s in (picture, sound)]
        return {"picture": losses[0], "sound": losses[1]}

    @torch.no_grad()
    def solve_classes(self, data: Data, generator: torch.Generator) -> None:
        """New classes of the solos, the dictionary that follows from them, and fresh heads."""
        known, solos = self.described(data), self.is_solo
        vectors, scores = known.vectors_ND[solos], (known.pictures_NK + known.sounds_NK)[solos]
        k, seed = self.n_classes, int(torch.randint(1 << 30, (1,), generator=generator))
        if self.options.labels == "kmeans":
            labels = kmeans(vectors, k, seed, n_init=N_INIT)[1]
        elif not self.is_trained:
            labels = transported(vectors, k, seed)
        else:
            labels = sinkhorn(scores, epsilon=1.0).labels.cpu()
        self.labels_N[solos.to(self.labels_N.device)] = labels.to(self.labels_N)
        self.keep_dictionary(vectors, labels)
        for head in (self.picture_classes, self.sound_classes):
            head.reset_parameters()
        self.is_trained = True

    def described(self, data: Data) -> Described:
        """What the networks of now say of all items, in one pass."""
        n, k = self.task.n_items, self.n_classes
        known = Described(torch.zeros(n, self.mean_D.numel()), torch.zeros(n, k), torch.zeros(n, k))
        for rows, features in data.blocks(maps=True):
            places = without_frames(features.maps[self.pictures]).float()
            scores = [s.log_softmax(dim=1) for s in self.class_scores(features)]
            for column, values in zip(known, (object_vectors(places, self.sounding(features)), *scores)):
                column[rows.cpu()] = values.float().cpu()
        return known

    def keep_dictionary(self, vectors_ND: Tensor, labels_N: Tensor) -> None:
        """The mean object vector of each class, without the mean of all; 0 of a class without one."""
        mean = vectors_ND.mean(dim=0)
        sums = F.one_hot(labels_N, self.n_classes).float().T @ (vectors_ND - mean)
        self.mean_D.copy_(mean)
        self.dictionary_KD.copy_(F.normalize(sums, dim=1))

    # -------------------------------------------------------------------------------------------------------- stage two

    @torch.no_grad()
    def listen(self, data: Data, generator: torch.Generator) -> None:
        """What the head of stage one says of the sound of every item, and the dictionary of the last features."""
        known, solos = self.described(data), self.is_solo
        self.keep_dictionary(known.vectors_ND[solos], self.labels_N.cpu()[solos])
        self.heard_NK.copy_(known.sounds_NK.exp())

    def class_logits(self, features: Features) -> Tensor:
        """(B, K, h, w) how much every place is like each class of the dictionary."""
        places = F.normalize(without_frames(features.maps[self.pictures]).float(), dim=1) - self.mean_D[:, None, None]
        cosines = torch.einsum("bdhw,kd->bkhw", F.normalize(places, dim=1), self.dictionary_KD)
        return self.class_scale * cosines + self.class_shift

    def class_maps(self, features: Features) -> Tensor:
        """(B, K, h, w) the map of every class, times the sounding map."""
        return self.class_logits(features) * self.sounding(features)[:, None]

    def scenes_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classes of scenes as they are heard, and where what sounds is."""
        features = maps_of_batch(self, batch)
        kept = both_present(self, features, len(batch.rows_BG))
        heard = self.heard_NK[batch.rows_BG[:, 0].to(self.heard_NK.device)]
        logits = self.logits(features)[kept][:, kept]
        return {
            "classes": distribution_loss(self.class_maps(features)[kept], heard[kept]),
            "location": LOCATION * location_loss(logits, mixed=True),
        }

    def heatmaps(self, features: Features) -> Tensor:
        """The share of each class at each place, down to half of it where less sounds than at the picture's loudest place."""
        sounding = self.sounding(features)[:, None]
        loudest_place = sounding.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        return self.class_logits(features).softmax(dim=1) * (0.5 + 0.5 * sounding / loudest_place)

    def current_labels(self) -> list[Tensor]:
        return [self.labels_N] if self.is_trained else []

    def extra_state(self) -> dict:
        return {"is_trained": self.is_trained}

    def load_extra_state(self, state: dict) -> None:
        self.is_trained = bool(state.get("is_trained"))
