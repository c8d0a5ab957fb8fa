"""Where in a window something is heard: a word that somebody cut begins and ends with it, a window does not. Imports no torch."""

from __future__ import annotations

import numpy as np

STEP_S = 0.01  # frames whose power is looked at
SMOOTHED = 5  # frames
RANGE_DB = 12.0  # a window whose loud and quiet frames are no further apart holds nothing that stands out
SHARE = 0.3  # of the way from the quiet to the loud frames, in decibels: what is louder belongs to the event
PAUSE_S = 0.12  # a shorter pause does not end it
AROUND_S = 0.02  # kept before and after


def event_of(wave: np.ndarray, rate: int) -> tuple[int, int]:
    """(first sample, sample after the last) of what stands out in a wave (S,); all of it where nothing does.

    It is the stretch around the loudest moment that is clearly louder than the quiet tenth of the wave, over short pauses.

    Example:
        >>> t = np.arange(8000) / 8000
        >>> wave = np.where((t > 0.3) & (t < 0.6), 9000 * np.sin(2000 * t), 9 * np.sin(1e5 * t * t))
        >>> [round(sample / 8000, 1) for sample in event_of(wave, 8000)]
        [0.3, 0.6]
    """
    step = max(1, round(STEP_S * rate))
    n = len(wave) // step
    if n < 2 * SMOOTHED:
        return 0, len(wave)
    power = np.square(wave[: n * step].astype(np.float64)).reshape(n, step).mean(axis=1)
    level_db = 10 * np.log10(np.convolve(power, np.ones(SMOOTHED) / SMOOTHED, "same") + 1e-3)
    loud, quiet = float(level_db.max()), float(np.quantile(level_db, 0.1))
    if loud - quiet < RANGE_DB:
        return 0, len(wave)
    is_loud = np.flatnonzero(level_db > quiet + SHARE * (loud - quiet))
    ends = np.flatnonzero(np.diff(is_loud) > PAUSE_S / STEP_S)  # of stretches, but for the last one
    starts, stops = is_loud[[0, *(ends + 1)]], is_loud[[*ends, -1]]
    which = int(np.searchsorted(stops, level_db.argmax()))
    around = round(AROUND_S * rate)
    return max(0, int(starts[which]) * step - around), min(len(wave), (int(stops[which]) + 1) * step + around)
