"""FOUND (Simeoni et al., CVPR 2023): background first, then one linear layer that the folder's own photos teach.

Claim: what is background is easier to find than what is an object. The patches alike to the patch that a transformer attends to
least are background; one 1x1 layer on fixed patch features learns the rest over all photos, first from these masks, then from its
own, refined along the borders in the photos.

Other than published: the layer is solved anew (Newton steps on principal components) at every turn, where the paper takes
gradient steps; labels between turns are solved by transport with relaxed shares of background and object, which keeps either from
taking all, where the paper switches from one target to the other and stops by a rule; borders follow the photo by a guided
filter, not a bilateral solver; of networks without attention the seed is the patch that is like most others; objects are the
connected pieces, where the paper keeps one mask a photo.

Axes: N patches of the sample, h x w patches of a photo, D features, C components, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.ndimage import label as label_components

from selflabel.assignment import sinkhorn
from selflabel.base.errors import UserError
from selflabel.contract.finder import Finder, Region, Shown
from selflabel.methods.option_types import PositiveInt, Share
from selflabel.regions.background import background
from selflabel.regions.guided import FLAT, filtered_map, grey_of, guided_filter, resized

KEYS_TAU = 0.3  # cosine with the seed above which keys are background (FOUND)
ALIKE_SHARE = 0.4  # of the pairs of patches of a photo whose cosine exceeds that threshold, for maps of convolutional networks
SAMPLE_PHOTOS = 256  # to learn from: 3 of 100 passes of the encoder over 10,000 photos
SAMPLE_BYTES = 2**27  # of their features, two bytes a number: 220,000 patches of 384 features
COMPONENTS = 32  # principal components that the layer is solved on
RIDGE = 0.01  # penalty on its squared weights, on components of variance 1
EPSILON = 1.0  # temperature of the transport; scores are log-probabilities
SETTLED = 0.002  # share of the patches that change sides, below which the turns end
NEWTON_STEPS, NEWTON_TOL, LARGEST_LOGIT = 15, 1e-4, 20.0

Patches = Annotated[float, Field(ge=0, le=8, allow_inf_nan=False)]
Cosine = Annotated[float, Field(ge=-1, lt=1, allow_inf_nan=False)]
Inner = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Options:
    """Options of `found`.

    Attributes:
        tau: cosine with the seed above which a patch is background at first; None is .3 for keys (FOUND), and for maps of
            convolutional networks the one that 40 of 100 pairs exceed.
        objects: share of all patches that objects have, roughly.
        relax: how far that share may move: 0 holds it, 1 leaves it free.
        turns: how often the labels are solved anew, at most.
        most: objects of a photo, at most.
        min_area: share of a photo that an object has at least.
        refine: radius of the guided filter, in patches, up to 8; 0 leaves masks made of patches.
    """

    tau: Cosine | None = None
    objects: Inner = 0.35
    relax: Share = 0.1
    turns: PositiveInt = 12
    most: PositiveInt = 3
    min_area: Share = 0.01
    refine: Patches = 1.0


class Taken(NamedTuple):
    """A photo to learn from. unit_hwD: float16 features of length 1. object_hw: bool, not background. guide_hw: grey values."""

    unit_hwD: np.ndarray
    object_hw: np.ndarray
    guide_hw: np.ndarray


class FOUND(Finder):
    """One linear layer that parts objects from background; see the module's docstring."""

    options_type = Options
    layers = ("keys", "stride16")

    def __init__(self, options: Options):
        super().__init__(options)
        self.weight_D, self.bias = np.zeros(0, np.float32), 0.0

    # --- learning

    def fit(self, photos: Iterable[Shown], generator: torch.Generator) -> None:
        sample, size = list[Taken](), 0
        for shown in photos:
            sample.append(self.taken(shown))
            size += sample[-1].unit_hwD.nbytes
            if size >= SAMPLE_BYTES or len(sample) == SAMPLE_PHOTOS:
                break
        if sample:
            self.weight_D, self.bias = learned(sample, self.options)

    def taken(self, shown: Shown) -> Taken:
        """A photo with its first mask."""
        unit, tau = unit_features(shown.places_hwD), self.options.tau
        if tau is None and shown.layer == "keys":
            tau = KEYS_TAU
        guide = resized(grey_of(shown.pixels_HWC)[None], unit.shape[:2], "area")[0]
        return Taken(unit.astype(np.float16), ~background(unit, shown.attention_Mhw, tau, ALIKE_SHARE), guide)

    def state(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight_D, "bias": np.array([self.bias], np.float32)} if len(self.weight_D) else {}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        weight, bias = state["weight"], state["bias"]
        if weight.ndim != 1 or bias.shape != (1,) or not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ValueError("its layer is no row of finite numbers")
        self.weight_D, self.bias = weight.astype(np.float32), float(bias[0])

    # --- finding

    def find(self, shown: Shown) -> list[Region]:
        own: Options = self.options
        if len(self.weight_D) != shown.places_hwD.shape[2]:
            raise UserError(
                f"the layer that tells objects from background is for {len(self.weight_D)} features, and the encoder gives "
                f"{shown.places_hwD.shape[2]}; copy the run folder again, or find the objects again."
            )
        logits = unit_features(shown.places_hwD) @ self.weight_D + np.float32(self.bias)
        probabilities = 1 / (1 + np.exp(-np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)))
        soft = filtered_map(probabilities, grey_of(shown.pixels_HWC), own.refine)
        return pieces_of(soft, own.most, own.min_area)


def unit_features(places_hwD: np.ndarray) -> np.ndarray:
    """Features of length 1; zeros stay."""
    lengths = np.linalg.norm(places_hwD, axis=2, keepdims=True)
    return np.divide(places_hwD, lengths, out=np.zeros(places_hwD.shape, np.float32), where=lengths > 0)


def pieces_of(soft_HW: np.ndarray, most: int, min_area: float) -> list[Region]:
    """The connected pieces of a soft mask of all objects, the largest first.

    A piece's score is its share of what the photo's pieces have inside, times its mean.

    Args:
        soft_HW: in [0, 1].
        most: pieces, at most.
        min_area: share of the pixels that a piece has at least.
    """
    inside = soft_HW > 0.5
    pieces, n = label_components(inside)
    own = np.flatnonzero(inside)
    numbers = pieces.reshape(-1)[own]
    areas = np.bincount(numbers, minlength=n + 1)[1:]
    sums = np.bincount(numbers, weights=soft_HW.reshape(-1)[own], minlength=n + 1)[1:]
    large = [i for i in np.argsort(-sums, kind="stable") if areas[i] >= max(1, min_area * soft_HW.size)][:most]
    softs = [soft_HW if n == 1 else np.where((pieces == i + 1) | ~inside, soft_HW, np.float32(0)) for i in large]
    return [Region(soft, float(sums[i] / sums.sum() * sums[i] / areas[i])) for soft, i in zip(softs, large)]


# ----------------------------------------------------------------------------------------------------- the layer


def learned(sample: list[Taken], options: Options) -> tuple[np.ndarray, float]:
    """(weight (D,), bias) of the layer on features of length 1: a patch with a logit above 0 is one of an object.

    Args:
        sample: photos.
        options: of the method.
    """
    z_NC, mean_D, components_DC = whitened(sample)
    targets_N = np.concatenate([t.object_hw.reshape(-1) for t in sample]).astype(np.float64)
    layer = np.zeros(z_NC.shape[1] + 1)
    for _ in range(options.turns):
        # --- the layer that fits the labels
        layer = logistic(z_NC, targets_N, layer)
        # --- what it says, along the borders in the photos
        logits = refined_logits(z_NC @ layer[:-1] + layer[-1], sample)
        # --- labels with about the shares asked for
        before, targets_N = targets_N, solved(logits, options.objects, options.relax)
        if np.mean(before != targets_N) < SETTLED:
            break
    layer = logistic(z_NC, targets_N, layer)
    weight = components_DC @ layer[:-1]
    return weight.astype(np.float32), float(layer[-1] - mean_D @ weight)


def whitened(sample: list[Taken]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z (N, C), mean (D,), components (D, C)): the principal components of all patches, z = (unit - mean) @ components of
    variance 1."""
    blocks = [t.unit_hwD.reshape(-1, t.unit_hwD.shape[2]) for t in sample]
    n, dim = sum(map(len, blocks)), blocks[0].shape[1]
    mean, products = np.zeros(dim), np.zeros((dim, dim))
    for block in blocks:
        x = block.astype(np.float32)
        mean += x.sum(axis=0, dtype=np.float64) / n
        products += (x.T @ x) / n
    values, vectors = np.linalg.eigh(products - np.outer(mean, mean))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = max(1, int((values[:COMPONENTS] > 1e-5 * values[0]).sum()))
    components = vectors[:, :kept] / np.sqrt(np.maximum(values[:kept], 1e-12))
    return np.concatenate([(b.astype(np.float32) - mean) @ components for b in blocks]), mean, components


def logistic(z_NC: np.ndarray, targets_N: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(C + 1,) weights and bias of least binary cross-entropy and `RIDGE` / 2 times the squared weights, by Newton's method."""
    layer, ridge = start.copy(), np.diag([*[RIDGE] * z_NC.shape[1], 1e-4])
    z1 = np.hstack([z_NC, np.ones((len(z_NC), 1))])
    for _ in range(NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(z1 @ layer, -LARGEST_LOGIT, LARGEST_LOGIT)))
        gradient = z1.T @ (p - targets_N) / len(z1) + ridge @ layer
        hessian = (z1 * (p * (1 - p))[:, None]).T @ z1 / len(z1) + ridge
        step = np.linalg.solve(hessian, gradient)
        layer -= step
        if np.abs(step).max() < NEWTON_TOL:
            break
    return layer


def refined_logits(logits_N: np.ndarray, sample: list[Taken]) -> np.ndarray:
    """(N,) logits, each photo's smoothed along its borders in windows of 3 x 3 patches."""
    out, start = np.empty(len(logits_N)), 0
    for taken in sample:
        end = start + taken.guide_hw.size
        logits = logits_N[start:end].reshape(taken.guide_hw.shape)
        out[start:end] = guided_filter(taken.guide_hw, logits, 1, FLAT).reshape(-1)
        start = end
    return np.clip(out, -LARGEST_LOGIT, LARGEST_LOGIT)


def solved(logits_N: np.ndarray, objects: float, relax: float) -> np.ndarray:
    """(N,) labels 0 and 1 by transport, with about a share `objects` of ones; relax: as of `assignment.sinkhorn`."""
    scores = torch.from_numpy(-np.logaddexp(0, np.stack([logits_N, -logits_N], axis=1))).float()
    mass = torch.tensor([1 - objects, objects], dtype=torch.float64)
    return sinkhorn(scores, epsilon=EPSILON, mass=mass, relax=relax).labels.numpy().astype(np.float64)
