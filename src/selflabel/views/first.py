"""What an item is like before any network has learned: short vectors whose neighbours mostly share a class.

They give the first neighbours and the first labels. Pictures are their pixels, shrunk; films their outlines and colours; sounds
what each band is like at any time; words the coarse shape of their spectrum over time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PX = 16  # side to which pictures shrink
ORIENTATIONS, CELLS = 8, 6  # of outlines, and cells a side
SHADES, FIELDS = 8, 3  # of each colour, and fields a side
CEPSTRA, TIMES = 12, 16


def first_features(x: Tensor) -> Tensor:
    """(B, D) of pictures (B, C, H, W), films (B, 3, T, H, W) or features (B, D), as an encoder is shown them."""
    if x.ndim == 2:
        return x
    if x.ndim == 5:
        return torch.cat([unit(outlines(x).sqrt()), unit(colours(x).sqrt())], dim=1)
    return shrunk(x)


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
