"""Sound texture: 502 numbers that summarise how a sound is, wherever in it one listens. Nothing is learned.

After McDermott & Simoncelli ("Sound texture perception via statistics of the auditory periphery", Neuron 2011) and Owens et al.
(ECCV 2016), who label sounds by such statistics; the numbers were not checked against their texts. A wave of any loudness passes
32 band-pass filters that are evenly apart in the ear's own bands (ERB, Glasberg & Moore, 1990); the envelope of each (Hilbert) is
raised to the power .3, as the ear compresses it, and kept at 400 values a second. Then

    64   mean and standard deviation of the envelope of each band
    320  of each band, how its envelope's variance is spread over 10 filters an octave apart
    117  correlations of the envelopes of bands that are 1, 2, 3 or 5 apart
    1    loudness: the wave's root mean square, compressed alike

A louder copy of a sound differs from it in the loudness only.

Axes: B sounds, S samples, F bands, T envelope values, M modulation filters, K bins of a spectrum.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

BANDS, TOGETHER, LOWEST_HZ, HIGHEST_HZ = 32, 4, 20.0, 10_000.0
COMPRESSION, ENVELOPE_HZ = 0.3, 400
MODULATIONS_HZ = tuple(2.0**i for i in range(-2, 8))  # .25 to 128 Hz
APART = (1, 2, 3, 5)  # bands whose envelopes are correlated
SILENCE = 1e-4  # of the sound's root mean square: an envelope below that, 80 dB down, counts as this
EVEN = 1e-6  # a variance of the compressed envelope up to which it does not change
CORRELATIONS = sum(BANDS - d for d in APART)
GROUPS = (BANDS, BANDS, BANDS * len(MODULATIONS_HZ), CORRELATIONS, 1)  # lengths of the groups of numbers above
SIZE = sum(GROUPS)
MOST_SAMPLES = 1 << 19  # of the sounds whose spectra are held at a time


def erb_number(hz: Tensor) -> Tensor:
    """How many of the ear's bands lie below a frequency (Glasberg & Moore, 1990)."""
    return 9.265 * torch.log1p(hz / (24.7 * 9.265))


def band_edges(rate: int) -> Tensor:
    """(F + 2,) float64 Hz, evenly apart in the ear's bands: band f rises from edge f to edge f + 1 and falls to edge f + 2."""
    ends = erb_number(torch.tensor([LOWEST_HZ, min(HIGHEST_HZ, rate / 2)], dtype=torch.float64))
    numbers = torch.linspace(float(ends[0]), float(ends[1]), BANDS + 2, dtype=torch.float64)
    return torch.expm1(numbers / 9.265) * 24.7 * 9.265


def half_cosine(x: Tensor) -> Tensor:
    """1 at 0, falling to 0 at -1 and 1; the squares of two that are 1 apart sum to 1 between them."""
    return torch.cos(math.pi / 2 * x.clamp(-1, 1)).clamp(min=0)


@cache
def band_filters(samples: int, rate: int) -> list[tuple[Tensor, Tensor]]:
    """The bins of the spectrum of a wave that each band takes, and how much of each; of TOGETHER bands at a time, low ones first.

    Returns:
        (TOGETHER, K) int64 bins in order, K the same for all of them, and (TOGETHER, K) float32 weights in [0, 1].
    """
    n, edges = samples // 2 + 1, band_edges(rate)
    numbers, firsts = erb_number(edges), (edges * samples / rate).ceil().long().clamp(max=n)
    filters = []
    for f in range(0, BANDS, TOGETHER):
        first, end = firsts[f : f + TOGETHER], firsts[f + 2 : f + 2 + TOGETHER]
        K = max(1, int((end - first).max()))
        bins = first.clamp(max=n - K)[:, None] + torch.arange(K)
        places = erb_number(bins.double() * rate / samples) - numbers[f + 1 : f + 1 + TOGETHER, None]
        filters.append((bins, half_cosine(places / (numbers[1] - numbers[0])).float()))
    return filters


def envelopes(waves_BS: Tensor, rate: int) -> Tensor:
    """(B, F, T) compressed envelopes of the bands, ENVELOPE_HZ values a second.

    An envelope is the magnitude of the band's analytic signal. That has the band's own bins only, so it is transformed back at a
    lower rate; there the envelope is compressed, and what changes faster than half of ENVELOPE_HZ is left out.

    Args:
        waves_BS: floats.
        rate: samples a second.
    """
    samples = waves_BS.shape[1]
    T, spectrum, parts = max(2, round(samples * ENVELOPE_HZ / rate)), torch.fft.rfft(waves_BS.float()), []
    for bins, weights in band_filters(samples, rate):
        finer = math.ceil(2 * bins.shape[1] / T)  # the square of an envelope has twice the band's width
        bands = spectrum[:, bins.to(spectrum.device)] * weights.to(spectrum.device)
        analytic = torch.view_as_real(torch.fft.ifft(bands, n=finer * T)) * (2 * finer * T / samples)
        compressed = analytic.square().sum(dim=-1).clamp(min=SILENCE**2) ** (COMPRESSION / 2)
        parts.append(torch.fft.irfft(torch.fft.rfft(compressed)[..., : T // 2 + 1], n=T) / finer)
    return torch.cat(parts, dim=1)


@cache
def modulation_filters(values: int) -> Tensor:
    """(M, values // 2) float32 weights of the squared spectrum of an envelope, from its second bin on; they sum to 1."""
    hz = torch.arange(1, values // 2 + 1, dtype=torch.float64) * ENVELOPE_HZ / values
    centres = torch.tensor(MODULATIONS_HZ, dtype=torch.float64)
    return half_cosine(hz.log2() - centres.log2()[:, None]).square().float()


def modulation_energies(centred_BFT: Tensor, variance_BF: Tensor) -> Tensor:
    """(B, F, M) the share of the variance of each envelope that lies in each modulation filter.

    Args:
        centred_BFT: envelopes minus their means.
        variance_BF: of the envelopes; where it is 0, so are the shares.
    """
    T = centred_BFT.shape[2]
    power = torch.fft.rfft(centred_BFT).abs().square()[..., 1:] * (2 / T**2)
    if T % 2 == 0:
        power[..., -1] /= 2  # the highest bin stands for itself only
    energies = power @ modulation_filters(T).to(power).T
    return over(energies, variance_BF[..., None])


def band_correlations(centred_BFT: Tensor, variance_BF: Tensor) -> Tensor:
    """(B, CORRELATIONS) correlations of the envelopes of bands f and f + d, for each d in APART; 0 where one does not change."""
    unit = over(centred_BFT, variance_BF.sqrt()[..., None])
    return torch.cat([(unit[:, :-d] * unit[:, d:]).mean(dim=2) for d in APART], dim=1)


def over(x: Tensor, y: Tensor) -> Tensor:
    """x / y, and 0 where y is 0."""
    return torch.where(y > 0, x / y.clamp(min=1e-30), torch.zeros_like(x))


def texture_statistics(waves_BS: Tensor, rate: int) -> Tensor:
    """(B, SIZE) the statistics of some sounds, group after group as in GROUPS; all 0 for silence.

    Args:
        waves_BS: floats, 1 is full scale.
        rate: samples a second.
    """
    loudness = waves_BS.float().square().mean(dim=1, keepdim=True).sqrt()
    x = envelopes(over(waves_BS.float(), loudness), rate)
    mean = x.mean(dim=2)
    centred = x - mean[..., None]
    variance = centred.square().mean(dim=2)
    variance = torch.where(variance > EVEN, variance, torch.zeros_like(variance))
    energies, correlations = modulation_energies(centred, variance), band_correlations(centred, variance)
    found = torch.cat([mean, variance.sqrt(), energies.flatten(1), correlations, loudness**COMPRESSION], dim=1)
    return found * (loudness > 0)


def evened_groups(features_ND: Tensor) -> tuple[Tensor, Tensor]:
    """What brings features to one scale: (D,) their means, and (D,) factors after which each has a variance of 1 over the size of
    its group, so that groups of many numbers count as much as those of few; one that is the same for all items gets 0.

    Args:
        features_ND: of a set; of statistics of this module the groups are known, any others are one group.
    """
    x = features_ND.double()
    mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    sizes = GROUPS if x.shape[1] == SIZE else (x.shape[1],)
    size_D = torch.tensor([size for size in sizes for _ in range(size)], dtype=torch.float64, device=x.device)
    changes = spread > 1e-6 * x.abs().amax(dim=0).clamp(min=1e-12)
    return mean.float(), (over(changes.double(), spread) / size_D.sqrt()).float()


class SoundTexture(nn.Module):
    """An encoder of waves (B, S) in [-1, 1] that learns nothing: their texture statistics.

    Args:
        rate: samples a second.
    """

    def __init__(self, rate: int):
        super().__init__()
        self.rate, self.dim, self.px = rate, SIZE, 0

    def forward(self, x: Tensor) -> Tensor:
        """(B, SIZE) statistics, some sounds at a time."""
        with torch.autocast(x.device.type, enabled=False):
            parts = x.split(max(1, MOST_SAMPLES // x.shape[1]))
            return torch.cat([texture_statistics(part, self.rate) for part in parts])
