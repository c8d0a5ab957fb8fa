"""Where in a window something is heard: a word that somebody cut begins and ends with it, a window does not. Imports no torch."""

from __future__ import annotations

import numpy as np

STEP_S = 0.01  # frames whose power is looked at
SMOOTHED = 3  # frames: more of them would move the ends of a sharp event outwards
QUIET = 0.2  # of the frames are no louder than what is quiet: a word may itself be quieter at its ends than what is around it
RANGE_DB = 12.0  # a window whose loud and quiet frames are no further apart holds nothing that stands out
SHARE = 0.1  # of the way from the quiet to the loud frames, in decibels: what is louder belongs to the event
PAUSE_S = 0.12  # a shorter pause does not end it
REACH = 0.5  # of a window's length: so far before and after it an event is followed


def event_of(wave: np.ndarray, rate: int, window: tuple[int, int]) -> tuple[int, int]:
    """(first sample, sample after the last) of what stands out in a window of a wave (S,); the window where nothing does.

    It is the stretch around the window's loudest moment that is louder than the quiet fifth of the wave, over short pauses. It
    may begin before the window and end after it.

    Args:
        wave: the window and what is around it.
        rate: in Hz.
        window: its first sample, and the one after its last.

    Example:
        >>> t = np.arange(8000) / 8000
        >>> wave = np.where((t > 0.3) & (t < 0.6), 9000 * np.sin(2000 * t), 9 * np.sin(1e5 * t * t))
        >>> [round(sample / 8000, 1) for sample in event_of(wave, 8000, (3600, 8000))]
        [0.3, 0.6]
    """
    step = max(1, round(STEP_S * rate))
    n = len(wave) // step
    first, end = window[0] // step, min(window[1] // step, n)
    if end - first < 2 * SMOOTHED:
        return window
    power = np.square(wave[: n * step].astype(np.float64)).reshape(n, step).mean(axis=1)
    level_db = 10 * np.log10(np.convolve(power, np.ones(SMOOTHED) / SMOOTHED, "same") + 1e-3)
    quiet, loudest = float(np.quantile(level_db, QUIET)), first + int(level_db[first:end].argmax())
    if level_db[loudest] - quiet < RANGE_DB:
        return window
    start, stop = stretch_around(level_db, quiet, loudest)
    start, stop = stretch_around(level_db, quiet, start + int(level_db[start:stop].argmax()))
    return start * step, min(len(wave), stop * step)


def stretch_around(level_db: np.ndarray, quiet: float, loudest: int) -> tuple[int, int]:
    """(first frame, frame after the last) that belong to what is loudest at a frame, of levels (n,)."""
    is_loud = np.flatnonzero(level_db > quiet + SHARE * (level_db[loudest] - quiet))
    ends = np.flatnonzero(np.diff(is_loud) > PAUSE_S / STEP_S)  # of stretches, but for the last one
    starts, stops = is_loud[[0, *(ends + 1)]], is_loud[[*ends, -1]]
    which = int(np.searchsorted(stops, loudest))
    return int(starts[which]), int(stops[which]) + 1
