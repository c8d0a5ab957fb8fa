"""Views of sounds: log-mel spectrograms as images of one channel, time along x and pitch upwards, computed on the device.

A change of speaker, tempo or start then is a geometric one: both axes are stretched and shifted at random, as for images.
Stretches of time and of pitch are masked (SpecAugment; Park et al., 2019). Loudness is removed: the loudest point is 1, RANGE_DB
below it is 0. Spoken words are mean-normalised: each band is shown about its mean over time, which removes most of the speaker
(cepstral mean normalisation; Atal, 1974), and stretched to one length.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.views.image import Preset, random_geometry, warp
from selflabel.views.random import uniforms
from selflabel.views.view import View, identity

MELS, LOWEST_HZ, RANGE_DB = 64, 50.0, 60.0
WINDOW_S, HOP_S = 0.025, 0.010
PAPER_BANDS, PAPER_WINDOW_S = 257, 0.020  # of SeLaVi, whose hop is 10 ms, too
MASKED = (0.15, 0.2)  # largest share of time and of pitch that is masked
SHORTEST_WINDOW_S = 2.0  # a view of a long sound is no shorter than this
MAX_STEPS = 160  # steps of a view: longer ones are averaged over time, the same for every view of a set
DRAWS, MASK_DRAWS = 16, 8
MOST_SAMPLES = {"cpu": 1 << 19, "gpu": 1 << 26}  # whose spectra are held at a time: what a cache holds; about a gigabyte


def view_sounds(
    waves: Tensor,
    preset: Preset,
    key: int,
    rows: Tensor,
    rate: int,
    lengths: Tensor | None = None,
    mean_normalised: bool = False,
    bands: int = MELS,
    window: Tensor | None = None,
    window_s: float = 0.0,
) -> View:
    """A random view of every sound.

    Args:
        waves: (B, S) int16, or floats in [-1, 1]; short sounds repeat up to S samples.
        preset: how strongly to change them. The identity shows the whole sound; any other preset a random stretch, warped and
            masked.
        key, rows: fix the random numbers, as in `view_images`.
        rate: samples a second.
        lengths: (B,) samples before a sound repeats.
        mean_normalised: show each band about its mean, and every sound at one length.
        bands: height of the spectrogram.
        window: (B, 2) the shares of the stored sound that are shown; None draws them.
        window_s: seconds that every window is repeated up to.

    Returns:
        A view of (B, 1, bands, steps) float32 pixels in [0, 1].
    """
    B, samples = waves.shape
    x = waves.float() / 32768 if waves.dtype == torch.int16 else waves.float()
    u = uniforms(key, rows.to(x.device), DRAWS + MASK_DRAWS)
    span = torch.tensor([[0.0, 1.0]], device=x.device).expand(B, 2)
    if window is not None:
        x, span = cut_windows(x, window, round(window_s * rate)), window.to(x)
    elif not (preset.is_identity or mean_normalised):
        x, span = random_stretch(x, u[:, DRAWS], rate)
    x = log_mel(x, rate, bands)
    if bands < PAPER_BANDS:
        x = F.avg_pool2d(x, (1, averaged_steps(samples, rate)))
    if mean_normalised:
        if window is None:
            x, span = stretch_to_width(x, lengths, samples)
        x = mean_normalise(x)
    if preset.is_identity:
        return View(x, identity(B, x), span)
    theta = identity(B, x)
    if preset.has_geometry:
        theta = random_geometry(preset, u[:, :DRAWS])
        x = warp(x, theta, (x.shape[-2], x.shape[-1]))
    return View(mask_bands(x, u[:, DRAWS + 1 :], preset.masks) if preset.masks else x, theta, span)


def stretch_to_width(x: Tensor, lengths: Tensor | None, samples: int) -> tuple[Tensor, Tensor]:
    """(spectrograms whose first `lengths` samples fill the whole width, (B, 2) their span as shares of the stored sound)."""
    if lengths is None:
        return x, torch.tensor([[0.0, 1.0]], device=x.device).expand(len(x), 2)
    share = (lengths.to(x.device) / samples).clamp(min=1e-3, max=1.0).to(x.dtype)
    theta = torch.zeros(len(x), 2, 3, device=x.device, dtype=x.dtype)
    theta[:, 0, 0], theta[:, 0, 2], theta[:, 1, 1] = share, share - 1, 1.0
    return warp(x, theta, (x.shape[-2], x.shape[-1])), torch.stack([torch.zeros_like(share), share], dim=1)


def mean_normalise(x: Tensor) -> Tensor:
    """Each band about its mean over time, which becomes one half."""
    return (0.5 + x - x.mean(dim=3, keepdim=True)).clamp_(0, 1)


def random_stretch(x: Tensor, start: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """(a stretch of every wave, its span (B, 2) as shares of the wave), at least SHORTEST_WINDOW_S seconds and half the wave.

    Args:
        x: (B, S) waves.
        start: (B,) uniform random numbers.
        rate: samples a second.
    """
    S = x.shape[1]
    length = window_samples(S, rate)
    if length == S:
        return x, torch.tensor([[0.0, 1.0]], device=x.device).expand(len(x), 2)
    first = (start * (S - length + 1)).long()
    span = torch.stack([first, first + length], dim=1).float() / S
    return x.gather(1, first[:, None] + torch.arange(length, device=x.device)), span


def cut_windows(x: Tensor, window: Tensor, length: int) -> Tensor:
    """(B, length) windows of waves (B, S), repeated where they are shorter. window: (B, 2) shares of the waves."""
    first, last = (window.to(x.device) * x.shape[1]).round().long().unbind(dim=1)
    first = first.clamp(0, x.shape[1] - 1)
    count = (last - first).clamp(min=1)
    index = first[:, None] + torch.arange(max(1, length), device=x.device) % count[:, None]
    return x.gather(1, index.clamp(max=x.shape[1] - 1))


def window_samples(samples: int, rate: int) -> int:
    """Samples of a random view of a sound."""
    return min(samples, max(round(SHORTEST_WINDOW_S * rate), samples // 2))


def averaged_steps(samples: int, rate: int) -> int:
    """Time steps that are averaged into one, so that a view has MAX_STEPS at most."""
    return max(1, math.ceil(window_samples(samples, rate) / (HOP_S * rate) / MAX_STEPS))


def mask_bands(x: Tensor, u: Tensor, strength: float = 1.0) -> Tensor:
    """Set one random stretch of time and one of pitch to zero (SpecAugment).

    Args:
        x: (B, 1, bands, steps).
        u: (B, 4 or more) uniform random numbers.
        strength: factor on the largest stretches.
    """
    for axis, most, (share, place) in ((3, MASKED[0], u[:, 0:2].T), (2, MASKED[1], u[:, 2:4].T)):
        n = x.shape[axis]
        width = share * (most * strength) * n
        first = place * (n - width)
        index = torch.arange(n, device=x.device)[None]
        masked = (index >= first[:, None]) & (index < (first + width)[:, None])
        shape = (len(x), 1, 1, n) if axis == 3 else (len(x), 1, n, 1)
        x = x.masked_fill(masked.view(shape), 0.0)
    return x


def log_mel(x: Tensor, rate: int, mels: int = MELS) -> Tensor:
    """Log-mel spectrograms relative to their loudest point.

    Args:
        x: (B, S) waves in [-1, 1].
        rate: samples a second.
        mels: bands.

    Returns:
        (B, 1, mels, steps) in [0, 1]: 1 at the loudest point, 0 at RANGE_DB decibels below it and less; high bands first.
    """
    most = MOST_SAMPLES["cpu" if x.device.type == "cpu" else "gpu"]
    if x.numel() > most and len(x) > 1:
        return torch.cat([log_mel(part, rate, mels) for part in x.split(max(1, most // x.shape[1]))])
    fine = mels >= PAPER_BANDS
    window = round((PAPER_WINDOW_S if fine else WINDOW_S) * rate)
    size = (2 if fine else 1) << (window - 1).bit_length()  # many bands need a finer grid of frequencies
    if x.shape[1] < size:
        x = F.pad(x, (0, size - x.shape[1]))
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
    nearest = (bins[None] - hertz[1:-1, None]).abs().argmin(dim=1)  # a narrow triangle between two bins takes the nearest
    filters[torch.arange(mels), nearest] = torch.maximum(filters[torch.arange(mels), nearest], torch.tensor(1e-3))
    return filters.float()
