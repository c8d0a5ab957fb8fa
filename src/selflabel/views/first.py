"""First features: short vectors that describe an item before any network has learned. Their neighbours mostly share a class.

They give the first neighbours and the first labels. Images are described by the patterns of their patches (`views.patches`),
videos by that and their outlines and colours, sounds by what each band is like over time, and spoken words by the coarse shape of
their spectrum over time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.views.patches import fit_patches

PX = 16  # side to which pixels shrink
MIN_PX = 16  # side from which on images are described by patches; smaller ones by their pixels
ORIENTATIONS, CELLS = 8, 6  # of outlines, and cells along a side
SHADES, FIELDS = 8, 3  # of each colour, and fields along a side
CEPSTRA, TIMES = 12, 16


Extractor = Callable[[Tensor], Tensor]  # views (B, ...) to features (B, D)


def fit_first_features(sample: Tensor, kind: str) -> Extractor:
    """Fit the extractor of first features to a sample of a set.

    Args:
        sample: some thousand views: images (B, C, H, W), videos (B, 3, F, H, W), spectrograms (B, 1, bands, steps) or features
            (B, D), as an encoder gets them.
        kind: "sound" or "spoken" for spectrograms ("spoken": each is one word); anything else for the rest.
    """
    if sample.ndim == 2:
        return lambda x: x
    if kind in ("sound", "spoken"):
        return standardised(cepstra if kind == "spoken" else texture, sample)
    if sample.ndim == 5:
        appearance, patterns = standardised(outlines_and_colours, sample), fit_patches(sample)
        return lambda x: torch.cat([normalise(appearance(x)), normalise(patterns(x))], dim=1)
    return fit_patches(sample) if min(sample.shape[-2:]) >= MIN_PX else first_features


def standardised(extract: Extractor, sample: Tensor) -> Extractor:
    """The extractor with each feature minus its mean and over its standard deviation, because such features are of many kinds."""
    features = extract(sample)
    mean, spread = features.mean(dim=0), features.std(dim=0, correction=0) + 1e-3
    return lambda x: (extract(x) - mean) / spread


def first_features(x: Tensor) -> Tensor:
    """(B, D) of images (B, C, H, W), videos (B, 3, F, H, W) or features (B, D), without fitting anything to the set."""
    if x.ndim == 2:
        return x
    return outlines_and_colours(x) if x.ndim == 5 else small_pixels(x)


def outlines_and_colours(x: Tensor) -> Tensor:
    """(B, D) of videos (B, 3, F, H, W)."""
    return torch.cat([normalise(outlines(x).sqrt()), normalise(colours(x).sqrt())], dim=1)


def sound_features(x: Tensor, spoken: bool) -> Tensor:
    """(B, D) of spectrograms (B, 1, bands, steps); spoken: each holds one word, from its start to its end."""
    return cepstra(x) if spoken else texture(x)


def normalise(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


def small_pixels(x: Tensor) -> Tensor:
    """(B, C * 256 or less) pixels of images shrunk to at most 16 x 16."""
    if x.shape[-2] > PX or x.shape[-1] > PX:
        x = F.adaptive_avg_pool2d(x, PX)
    return x.flatten(1)


def outlines(x: Tensor) -> Tensor:
    """(B, ORIENTATIONS * CELLS^2) histograms of oriented gradients, averaged over frames (Dalal & Triggs, 2005)."""
    grey = x.mean(dim=1)
    across, down = grey[..., :-1, 1:] - grey[..., :-1, :-1], grey[..., 1:, :-1] - grey[..., :-1, :-1]
    orientation = ((torch.atan2(down, across) / math.pi) % 1 * ORIENTATIONS).long().clamp(max=ORIENTATIONS - 1)
    strength = (across.square() + down.square()).sqrt()
    by_orientation = torch.stack([(strength * (orientation == o)).mean(dim=1) for o in range(ORIENTATIONS)], dim=1)
    return F.adaptive_avg_pool2d(by_orientation, CELLS).flatten(1)


def colours(x: Tensor) -> Tensor:
    """(B, 3 * SHADES * FIELDS^2) histograms of each colour's shades in each field, averaged over frames."""
    shade = (x * SHADES).long().clamp(max=SHADES - 1)
    shares = torch.stack([(shade == s).float().mean(dim=2) for s in range(SHADES)], dim=2)
    return F.adaptive_avg_pool2d(shares.flatten(1, 2), FIELDS).flatten(1)


def texture(x: Tensor) -> Tensor:
    """(B, 3 * bands) each band's mean, standard deviation and mean absolute change over time, wherever the sound begins."""
    return torch.cat([x.mean(dim=3), x.std(dim=3), x.diff(dim=3).abs().mean(dim=3)], dim=2).flatten(1)


def cepstra(x: Tensor) -> Tensor:
    """(B, CEPSTRA * TIMES) mel-frequency cepstral coefficients over time, without the first (Davis & Mermelstein, 1980).

    They describe the coarse shape of the spectrum; the pitch of the voice is in the fine shape, which is left out.
    """
    bands = x.shape[2]
    order = torch.arange(1, CEPSTRA + 1, device=x.device)[:, None]
    waves = torch.cos(math.pi * (torch.arange(bands, device=x.device) + 0.5) * order / bands)
    return F.adaptive_avg_pool2d(waves @ x[:, 0].flip(1), (CEPSTRA, TIMES)).flatten(1)
