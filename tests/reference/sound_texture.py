"""Sound texture statistics of one wave in plain loops, from full-length band signals."""

import math

import numpy as np
from scipy.signal import hilbert


def erb_number(hz):
    return 9.265 * math.log(1 + hz / (24.7 * 9.265))


def half_cosine(x):
    return math.cos(math.pi / 2 * x) if abs(x) < 1 else 0.0


def band_signal(wave, rate, f, bands, low, high):
    """The wave through filter f: a half cosine on the ERB scale."""
    ends = erb_number(low), erb_number(high)
    step = (ends[1] - ends[0]) / (bands + 1)
    centre = ends[0] + step * (f + 1)
    hz = np.arange(len(wave) // 2 + 1) * rate / len(wave)
    weights = [half_cosine((erb_number(h) - centre) / step) for h in hz]
    return np.fft.irfft(np.fft.rfft(wave) * weights, n=len(wave))


def envelope(wave, rate, f, bands, low, high, power, values_hz, floor):
    """Hilbert envelope of a band, compressed, at values_hz values a second, without what changes faster than half of that."""
    whole = np.maximum(np.abs(hilbert(band_signal(wave, rate, f, bands, low, high))), floor) ** power
    T = round(len(wave) * values_hz / rate)
    spectrum = np.fft.rfft(whole)[: T // 2 + 1]
    return np.fft.irfft(spectrum, n=T) * T / len(wave)


def modulation_energy(env, centre_hz, values_hz):
    """Share of an envelope's variance that passes a half cosine, an octave to each side of a frequency."""
    centred, total = env - env.mean(), 0.0
    for k, value in enumerate(np.fft.fft(centred)):
        hz = min(k, len(env) - k) * values_hz / len(env)
        if hz > 0:
            total += abs(value) ** 2 * half_cosine(math.log2(hz / centre_hz)) ** 2
    return total / len(env) ** 2 / centred.var()


def statistics(wave, rate, bands, low, high, power, values_hz, floor, modulations_hz, apart):
    """All numbers of one wave, in the order of the module."""
    rms = math.sqrt((wave**2).mean())
    envs = [envelope(wave / rms, rate, f, bands, low, high, power, values_hz, floor) for f in range(bands)]
    energies = [modulation_energy(e, hz, values_hz) for e in envs for hz in modulations_hz]
    pairs = [np.corrcoef(envs[f], envs[f + d])[0, 1] for d in apart for f in range(bands - d)]
    return np.array([*(e.mean() for e in envs), *(e.std() for e in envs), *energies, *pairs, rms**power])
