"""Whether heatmaps follow the sound: those of the same pictures with another sound, and with silence. No truth is needed.

Many published models hardly change their map when the sound is exchanged: they show what usually sounds, or the middle.

Axes: N pictures, h x w places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAR = 0.1  # of the side of a map: a highest place that moves by less stays where it is


@dataclass(frozen=True)
class SoundSwap:
    """How maps change with the sound.

    Attributes:
        moved: share of pictures whose highest place moves with another sound.
        correlation: median correlation of the maps with both sounds, from -1 to 1; 1 where the sound plays no part.
        other_peak: median of the highest value with another sound, over that with the own one.
        silent_peak: the same with silence.
    """

    moved: float
    correlation: float
    other_peak: float
    silent_peak: float


def sound_swap(own_Nhw: np.ndarray, other_Nhw: np.ndarray, silent_Nhw: np.ndarray) -> SoundSwap:
    """How the maps of N pictures change.

    Args:
        own_Nhw: with their own sounds, in [0, 1].
        other_Nhw: with those of other pictures.
        silent_Nhw: with silence.

    Example:
        >>> own, other = np.zeros((2, 1, 4, 4))
        >>> own[0, 0, 0], other[0, 3, 3] = 0.8, 0.4
        >>> sound_swap(own, other, own / 2)
        SoundSwap(moved=1.0, correlation=-0.0667, other_peak=0.5, silent_peak=0.5)
    """
    distance = np.abs(peaks(own_Nhw) - peaks(other_Nhw)).max(axis=1)
    correlation = correlations(own_Nhw.reshape(len(own_Nhw), -1), other_Nhw.reshape(len(own_Nhw), -1))
    highest = own_Nhw.max(axis=(1, 2))
    ratios = [float(np.median(x.max(axis=(1, 2)) / np.maximum(highest, 1e-6))) for x in (other_Nhw, silent_Nhw)]
    return SoundSwap(float((distance > FAR).mean()), round(float(np.median(correlation)), 4), *(round(r, 4) for r in ratios))


def peaks(maps_Nhw: np.ndarray) -> np.ndarray:
    """(N, 2) x and y of the highest place of each map, as shares of its sides: the middle of the place."""
    n, h, w = maps_Nhw.shape
    rows, columns = np.divmod(maps_Nhw.reshape(n, -1).argmax(axis=1), w)
    return np.stack([(columns + 0.5) / w, (rows + 0.5) / h], axis=1)


def correlations(a_NM: np.ndarray, b_NM: np.ndarray) -> np.ndarray:
    """(N,) Pearson's correlation of each row; 1 where a row has one value only, since nothing changes its order."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a_NM.astype(np.float64), b_NM.astype(np.float64)))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), lengths, out=np.ones(len(a)), where=lengths > 1e-12)
