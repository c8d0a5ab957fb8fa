"""Views of sounds: log-mel spectrograms as one-channel pictures (time across, pitch up), made on the device.

A change of speaker, tempo or start is then a geometric one (stretch and shift of both axes), drawn as for pictures; stretches
of time and of pitch are blanked besides (SpecAugment; Park et al., 2019). Loudness is taken out: the loudest is 1, RANGE_DB
below it is 0. Words are levelled: each band is shown about its mean over time, which takes out most of the speaker (cepstral
mean normalisation; Atal, 1974), and stretched to one length.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from selflabel.views.image import Preset, geometry, has_geometry, warp
from selflabel.views.random import uniforms

MELS, LOWEST_HZ, RANGE_DB = 64, 50.0, 60.0
WINDOW_S, HOP_S = 0.025, 0.010
PAPER_BANDS, PAPER_WINDOW_S = 257, 0.020  # SeLaVi's, with its hop of 10 ms
BLANKED = (0.15, 0.2)  # of time and of pitch, at most
LEAST_WINDOW_S = 2.0  # of what a view hears of a long sound
WIDEST = 160  # frames of a view: longer ones are averaged over steps of time, the same for every view of a set
DRAWS, MORE_DRAWS = 16, 8


def show_sound(
    waves: Tensor,
    preset: Preset,
    key: int,
    rows: Tensor,
    rate: int,
    lengths: Tensor | None = None,
    levelled: bool = False,
    bands: int = MELS,
) -> Tensor:
    """A view of every sound.

    Args:
        waves: (B, S) int16 or float in [-1, 1], looped to one length.
        preset: a still one hears everything; any other hears a random stretch, warped and blanked.
        key, rows: fix the draws, as for pictures.
        rate: samples a second.
        lengths: (B,) samples before the sound loops.
        levelled: show each band about its mean, and every sound at one length.
        bands: height of the picture.

    Returns:
        (B, 1, bands, frames) float32 in [0, 1].
    """
    x = waves.float() / 32768 if waves.dtype == torch.int16 else waves.float()
    u = uniforms(key, rows.to(x.device), DRAWS + MORE_DRAWS)
    if not (preset.is_still or levelled):
        x = heard(x, u[:, DRAWS], rate)
    x = log_mel(x, rate, bands)
    if bands < PAPER_BANDS:
        x = torch.nn.functional.avg_pool2d(x, (1, coarser(waves.shape[1], rate)))
    if levelled:
        x = level(stretched(x, lengths, waves.shape[1]))
    if preset.is_still:
        return x
    if has_geometry(preset):
        x = warp(x, geometry(preset, u[:, :DRAWS]), (x.shape[-2], x.shape[-1]))
    return blanked(x, u[:, DRAWS + 1 :])


def stretched(x: Tensor, lengths: Tensor | None, samples: int) -> Tensor:
    """Each spectrogram up to where its sound loops, over the whole width."""
    if lengths is None:
        return x
    share = (lengths.to(x.device) / samples).clamp(min=1e-3, max=1.0).to(x.dtype)
    theta = torch.zeros(len(x), 2, 3, device=x.device, dtype=x.dtype)
    theta[:, 0, 0], theta[:, 0, 2], theta[:, 1, 1] = share, share - 1, 1.0
    return warp(x, theta, (x.shape[-2], x.shape[-1]))


def level(x: Tensor) -> Tensor:
    """Each band about its mean over time, at one half."""
    return (0.5 + x - x.mean(dim=3, keepdim=True)).clamp_(0, 1)


def heard(x: Tensor, start: Tensor, rate: int) -> Tensor:
    """A stretch of at least LEAST_WINDOW_S seconds and half the sound, from a random start."""
    S = x.shape[1]
    long = window_of(S, rate)
    if long == S:
        return x
    first = (start * (S - long + 1)).long()
    return x.gather(1, first[:, None] + torch.arange(long, device=x.device))


def window_of(samples: int, rate: int) -> int:
    """Samples that a view hears of a sound."""
    return min(samples, max(round(LEAST_WINDOW_S * rate), samples // 2))


def coarser(samples: int, rate: int) -> int:
    """Frames that are averaged into one."""
    return max(1, math.ceil(window_of(samples, rate) / (HOP_S * rate) / WIDEST))


def blanked(x: Tensor, u: Tensor) -> Tensor:
    """One stretch of time and one of pitch at nought."""
    for axis, most, (share, place) in ((3, BLANKED[0], u[:, 0:2].T), (2, BLANKED[1], u[:, 2:4].T)):
        n = x.shape[axis]
        width = share * most * n
        first = place * (n - width)
        at = torch.arange(n, device=x.device)[None]
        hidden = (at >= first[:, None]) & (at < (first + width)[:, None])
        shape = (len(x), 1, 1, n) if axis == 3 else (len(x), 1, n, 1)
        x = x.masked_fill(hidden.view(shape), 0.0)
    return x


def log_mel(x: Tensor, rate: int, mels: int = MELS) -> Tensor:
    """(B, 1, mels, frames) in [0, 1]: decibels below the loudest, 1 at the loudest, 0 at RANGE_DB below it."""
    fine = mels >= PAPER_BANDS
    window = round((PAPER_WINDOW_S if fine else WINDOW_S) * rate)
    size = (2 if fine else 1) << (window - 1).bit_length()  # many bands want a finer grid of frequencies
    if x.shape[1] < size:
        x = torch.nn.functional.pad(x, (0, size - x.shape[1]))
    hann = torch.hann_window(window, device=x.device)
    spectrum = torch.stft(x, size, round(HOP_S * rate), window, hann, center=True, pad_mode="constant", return_complex=True)
    power = mel_filters(rate, size, mels).to(x.device) @ spectrum.abs().square()
    decibels = 10 * power.clamp(min=1e-10).log10()
    loudest = decibels.amax(dim=(1, 2), keepdim=True)
    picture = ((decibels - loudest) / RANGE_DB + 1).clamp_(0, 1)
    return picture.flip(1)[:, None]


@cache
def mel_filters(rate: int, size: int, mels: int) -> Tensor:
    """(mels, size // 2 + 1) triangles, evenly apart in mel = 2595 log10(1 + f / 700) (O'Shaughnessy, 1987)."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges = torch.linspace(mel(LOWEST_HZ), mel(rate / 2), mels + 2, dtype=torch.float64)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    rising = (bins[None] - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    falling = (hertz[2:, None] - bins[None]) / (hertz[2:] - hertz[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp(min=0)
    nearest = (bins[None] - hertz[1:-1, None]).abs().argmin(dim=1)  # narrow triangles between two bins hear the nearest
    filters[torch.arange(mels), nearest] = torch.maximum(filters[torch.arange(mels), nearest], torch.tensor(1e-3))
    return filters.float()
