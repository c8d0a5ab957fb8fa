"""One file's sound to a mono wave at one rate. Imports no torch, so that worker processes start quickly."""

from __future__ import annotations

from typing import Any

import numpy as np

from selflabel.decode.image import Undecodable
from selflabel.decode.video import media_input, open_media, seconds_of
from selflabel.items import Blob

RATE = 16_000  # Hz, at most
LONG_RATIO = 3  # a sound more than so many times as long as the wave: only its middle is decoded
SILENCE = 1e-3  # of full scale: a wave that never rises above it counts as no sound
FULL_SCALE = 32768


def decode_sound(data: bytes | str, samples: int, rate: int = RATE) -> tuple[np.ndarray, int]:
    """Decode a sound to one length: the middle of a longer one, repeats of a shorter one.

    Args:
        data: the file's bytes, or its name.
        samples: length of the wave.
        rate: in Hz.

    Returns:
        (samples,) int16 mono, and how many samples there are before they repeat; 0 for a video without a sound track or with a
        silent one, which is no error.

    Raises:
        Undecodable: neither video nor sound, or damaged from the start.
    """
    with open_media(data) as container:
        if not container.streams.audio:
            if container.streams.video:
                return np.zeros(samples, np.int16), 0
            raise Undecodable("has no sound")
        length, span = seconds_of(container, container.streams.audio[0]), samples / rate
        is_long = length > LONG_RATIO * span
        if is_long:
            container.seek(int((length - span) / 2 * 1_000_000), backward=True)
        wave = read_wave(container, rate, samples if is_long else None)
    if len(wave) == 0:
        raise Undecodable("has no sound that can be decoded")
    if max(int(wave.max()), -int(wave.min())) < SILENCE * FULL_SCALE:
        return np.zeros(samples, np.int16), 0
    if len(wave) >= samples:
        first = (len(wave) - samples) // 2
        return wave[first : first + samples], samples
    return np.resize(wave, samples), len(wave)


def read_wave(container: Any, rate: int, samples: int | None = None) -> np.ndarray:
    """The sound track from the container's position on: `samples` of it, or all up to its end or its first damage."""
    import av

    queue = av.AudioFifo()
    try:
        for frame in container.decode(container.streams.audio[0]):
            frame.pts = None  # sounds are joined without their gaps
            queue.write(frame)
            if samples is not None and queue.samples * rate >= (samples + rate) * frame.sample_rate:
                break
    except (av.FFmpegError, ValueError):
        pass
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    whole = queue.read()  # resampled at once: a call costs as much as a frame
    if whole is None:
        return np.zeros(0, np.int16)
    return np.concatenate([out.to_ndarray()[0] for out in [*resampler.resample(whole), *resampler.resample(None)]])[:samples]


def rate_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(rate in Hz, length in seconds) of the sound track as the file states them; None without one."""
    try:
        with open_media(media_input(blob)) as container:
            stream = container.streams.audio[0]
            return stream.rate, seconds_of(container, stream)
    except (Undecodable, IndexError, OSError):
        return None
