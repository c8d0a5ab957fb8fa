"""What an item is like before any network has learned: short vectors whose neighbours mostly share a class.

They give the first neighbours and the first labels. Pictures are what patterns they are made of (`views.patches`), films that and
their outlines and colours; sounds what each band is like at any time; words the coarse shape of their spectrum over time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.views.patches import fit_patches

PX = 16  # side to which pixels shrink
LEAST_PX = 16  # of pictures that are told by their patches; smaller ones are told by their pixels
ORIENTATIONS, CELLS = 8, 6  # of outlines, and cells a side
SHADES, FIELDS = 8, 3  # of each colour, and fields a side
CEPSTRA, TIMES = 12, 16


Reader = Callable[[Tensor], Tensor]


def first_reader(sample: Tensor, kind: str) -> Reader:
    """How first features are read off a set's views, (B, ...) to (B, D), learned from some thousand of them.

    Args:
        sample: pictures (B, C, H, W), films (B, 3, T, H, W), spectrograms (B, 1, bands, frames) or features (B, D), as an encoder
            is shown them.
        kind: "sound" or "spoken" of spectrograms, which hold a word each where "spoken".
    """
    if sample.ndim == 2:
        return lambda x: x
    if kind in ("sound", "spoken"):
        return in_spread(cepstra if kind == "spoken" else texture, sample)
    if sample.ndim == 5:
        looks, made_of = in_spread(outlines_and_colours, sample), fit_patches(sample)
        return lambda x: torch.cat([unit(looks(x)), unit(made_of(x))], dim=1)
    return fit_patches(sample) if min(sample.shape[-2:]) >= LEAST_PX else first_features


def in_spread(read: Reader, sample: Tensor) -> Reader:
    """Every entry about its mean, in its own spread: such features are of many kinds."""
    found = read(sample)
    mean, spread = found.mean(dim=0), found.std(dim=0, correction=0) + 1e-3
    return lambda x: (read(x) - mean) / spread


def first_features(x: Tensor) -> Tensor:
    """(B, D) of pictures (B, C, H, W), films (B, 3, T, H, W) or features (B, D), with nothing learned from the set."""
    if x.ndim == 2:
        return x
    return outlines_and_colours(x) if x.ndim == 5 else shrunk(x)


def outlines_and_colours(x: Tensor) -> Tensor:
    return torch.cat([unit(outlines(x).sqrt()), unit(colours(x).sqrt())], dim=1)


def sound_features(x: Tensor, spoken: bool) -> Tensor:
    """(B, D) of spectrograms (B, 1, bands, frames); spoken: whether they hold a word each, from its start to its end."""
    return cepstra(x) if spoken else texture(x)


def unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=1)


def shrunk(x: Tensor) -> Tensor:
    """Pictures of at most 16 x 16 pixels, flattened."""
    if x.shape[-2] > PX or x.shape[-1] > PX:
        x = F.adaptive_avg_pool2d(x, PX)
    return x.flatten(1)


def outlines(x: Tensor) -> Tensor:
    """(B, ORIENTATIONS * CELLS^2) how much edge runs which way, where, over all frames: histograms of oriented gradients (Dalal &
    Triggs, 2005).
    """
    grey = x.mean(dim=1)
    across, down = grey[..., :-1, 1:] - grey[..., :-1, :-1], grey[..., 1:, :-1] - grey[..., :-1, :-1]
    way = ((torch.atan2(down, across) / math.pi) % 1 * ORIENTATIONS).long().clamp(max=ORIENTATIONS - 1)
    strength = (across.square() + down.square()).sqrt()
    by_way = torch.stack([(strength * (way == o)).mean(dim=1) for o in range(ORIENTATIONS)], dim=1)
    return F.adaptive_avg_pool2d(by_way, CELLS).flatten(1)


def colours(x: Tensor) -> Tensor:
    """(B, 3 * SHADES * FIELDS^2) shares of each colour's shades, where, over all frames."""
    shade = (x * SHADES).long().clamp(max=SHADES - 1)
    shares = torch.stack([(shade == s).float().mean(dim=2) for s in range(SHADES)], dim=2)
    return F.adaptive_avg_pool2d(shares.flatten(1, 2), FIELDS).flatten(1)


def texture(x: Tensor) -> Tensor:
    """(B, 3 bands) what a spectrogram is like at any time: each band's mean, spread and unrest. Sounds may begin anywhere."""
    return torch.cat([x.mean(dim=3), x.std(dim=3), x.diff(dim=3).abs().mean(dim=3)], dim=2).flatten(1)


def cepstra(x: Tensor) -> Tensor:
    """(B, CEPSTRA * TIMES) the coarse shape of the spectrum over time: mel-frequency cepstral coefficients without the first
    (Davis & Mermelstein, 1980). The pitch of the voice is in the fine shape, which is left out.
    """
    bands = x.shape[2]
    order = torch.arange(1, CEPSTRA + 1, device=x.device)[:, None]
    waves = torch.cos(math.pi * (torch.arange(bands, device=x.device) + 0.5) * order / bands)
    return F.adaptive_avg_pool2d(waves @ x[:, 0].flip(1), (CEPSTRA, TIMES)).flatten(1)
