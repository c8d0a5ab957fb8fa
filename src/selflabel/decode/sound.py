"""One file's sound to a mono wave at one rate. Imports no torch, so that worker processes start in a moment."""

from __future__ import annotations

import numpy as np

from selflabel.decode.image import Undecodable
from selflabel.decode.video import open_media, seconds_of, source_of
from selflabel.items import Blob

RATE = 16_000  # samples a second, at most
LONG = 3  # times what is asked: of such a sound only the middle is decoded
SILENT = 1e-3  # of full scale: a wave that never rises above it says nothing


def decode_sound(data: bytes | str, samples: int, rate: int = RATE) -> tuple[np.ndarray, int]:
    """(samples,) int16 mono at `rate`: the middle of what is longer, loops of what is shorter.

    Returns:
        The wave and how many of its samples there are before it loops; 0 for a film without a sound track or with a silent one,
        which is no error but an absence.

    Raises:
        Undecodable: neither film nor sound, or damaged from the start.
    """
    with open_media(data) as container:
        if not container.streams.audio:
            if container.streams.video:
                return np.zeros(samples, np.int16), 0
            raise Undecodable("has no sound")
        length, span = seconds_of(container, container.streams.audio[0]), samples / rate
        is_long = length > LONG * span
        if is_long:
            container.seek(int((length - span) / 2 * 1_000_000), backward=True)
        wave = decoded(container, rate, samples if is_long else None)
    if len(wave) == 0:
        raise Undecodable("has no sound that can be decoded")
    if np.abs(wave.astype(np.int32)).max() < SILENT * 32768:
        return np.zeros(samples, np.int16), 0
    if len(wave) >= samples:
        first = (len(wave) - samples) // 2
        return wave[first : first + samples], samples
    return wave[np.arange(samples) % len(wave)], len(wave)


def decoded(container, rate: int, most: int | None = None) -> np.ndarray:
    """The sound track from where the container stands: `most` samples, or up to its end or its first damage."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    parts: list[np.ndarray] = []
    try:
        for frame in container.decode(container.streams.audio[0]):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            if most is not None and sum(map(len, parts)) >= most:
                return np.concatenate(parts)[:most]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    except (av.FFmpegError, ValueError):
        pass
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def rate_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(samples a second, length) of the sound track as the file states them; None where there is none."""
    try:
        with open_media(source_of(blob)) as container:
            stream = container.streams.audio[0]
            return stream.rate, seconds_of(container, stream)
    except (Undecodable, IndexError, OSError):
        return None
