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
    if max(int(wave.max()), -int(wave.min())) < SILENT * 32768:
        return np.zeros(samples, np.int16), 0
    if len(wave) >= samples:
        first = (len(wave) - samples) // 2
        return wave[first : first + samples], samples
    return np.resize(wave, samples), len(wave)


def decoded(container, rate: int, most: int | None = None) -> np.ndarray:
    """The sound track from where the container stands: `most` samples, or up to its end or its first damage."""
    import av

    heard = av.AudioFifo()
    try:
        for frame in container.decode(container.streams.audio[0]):
            frame.pts = None  # sounds are joined without their gaps
            heard.write(frame)
            if most is not None and heard.samples * rate >= (most + rate) * frame.sample_rate:
                break
    except (av.FFmpegError, ValueError):
        pass
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    whole = heard.read()  # resampled at once: a call costs as much as a frame
    if whole is None:
        return np.zeros(0, np.int16)
    return np.concatenate([out.to_ndarray()[0] for out in [*resampler.resample(whole), *resampler.resample(None)]])[:most]


def rate_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(samples a second, length) of the sound track as the file states them; None where there is none."""
    try:
        with open_media(source_of(blob)) as container:
            stream = container.streams.audio[0]
            return stream.rate, seconds_of(container, stream)
    except (Undecodable, IndexError, OSError):
        return None
