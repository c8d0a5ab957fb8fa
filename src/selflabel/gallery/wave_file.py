"""A sound as a WAV file that is decoded while it is sent, for what a browser cannot play from a given moment on.

A browser finds a moment of an MP3 of variable bit rate without an index by its mean bit rate, and misses it by seconds; AIFF, WMA
and others it cannot play at all. In a WAV file every second has its place, so any part can be asked for and is decoded then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from selflabel.decode.sound_spans import RUN_UP_S
from selflabel.decode.video import measured_seconds, media_input, open_media, origin_of, seek
from selflabel.items import Blob
from selflabel.runs.missing import Missing

HEADER_BYTES, SAMPLE_BYTES = 44, 2
LONGEST = (1 << 32) - 1000  # bytes of samples that a header can state: 12 hours at 48,000 Hz
MAX_RATE = 48_000  # Hz
SOUGHT_EXACTLY = ("audio/wav", "audio/flac", "audio/ogg", "audio/mp4", "audio/webm")  # by browsers, which play them


@dataclass(frozen=True)
class WaveFile:
    """A sound as 16-bit mono.

    Attributes:
        blob: of the file.
        rate: in Hz.
        n_samples: how many there are.
    """

    blob: Blob
    rate: int
    n_samples: int

    @classmethod
    def of(cls, blob: Blob) -> WaveFile:
        """The sound track of a file, as long as its packets say. Raises Undecodable, OSError, Missing."""
        rate, seconds = rate_and_length(replace(blob, piece=None), blob.stamp())
        if rate <= 0:
            raise Missing("it has no sound")
        rate = min(rate, MAX_RATE, int(LONGEST / SAMPLE_BYTES / max(seconds, 1)))  # of a sound of many hours, fewer
        return cls(blob, rate, round(seconds * rate))

    @property
    def n_bytes(self) -> int:
        """Of the whole file."""
        return HEADER_BYTES + SAMPLE_BYTES * self.n_samples

    @property
    def header(self) -> bytes:
        """The first 44 bytes."""
        n, rate = SAMPLE_BYTES * self.n_samples, self.rate
        riff = struct.pack("<4sI4s", b"RIFF", 36 + n, b"WAVE")
        kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, SAMPLE_BYTES * rate, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
        return riff + kind + struct.pack("<4sI", b"data", n)

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """The bytes from `first` to `last`, both included, in blocks; silence where the sound ends early or is damaged."""
        if first < HEADER_BYTES:
            yield self.header[first : last + 1]
        begin, left = max(first - HEADER_BYTES, 0), last + 1 - max(first, HEADER_BYTES)
        if left <= 0:
            return
        skip = begin % SAMPLE_BYTES
        for wave in waves_from(self.blob, begin // SAMPLE_BYTES, self.rate):
            block = wave.astype("<i2").tobytes()[skip : skip + left]
            skip, left = max(0, skip - SAMPLE_BYTES * len(wave)), left - len(block)
            if block:
                yield block
            if left <= 0:
                return
        while left > 0:
            yield bytes(min(left, 1 << 16))
            left -= min(left, 1 << 16)


@lru_cache(maxsize=64)
def rate_and_length(blob: Blob, stamp: str) -> tuple[int, float]:
    """The rate in Hz and the length in seconds of a sound, 0 without one; kept, because a browser asks for many parts of a file.

    Args:
        blob: of the file.
        stamp: changes when the file does.
    """
    data = media_input(blob)
    with open_media(data) as container:
        if not container.streams.audio:
            return 0, 0.0
        return container.streams.audio[0].rate, measured_seconds(data, "audio")


def waves_from(blob: Blob, first: int, rate: int) -> Iterator[np.ndarray]:
    """The sound from a sample on, as pieces (n,) of int16 without gaps, up to its end or its first damage."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    with suppress(av.FFmpegError, ValueError, OSError), open_media(media_input(blob)) as container:
        stream = container.streams.audio[0]
        if first > RUN_UP_S * rate:
            seek(container, first / rate - RUN_UP_S + origin_of(container, stream))
        skip = None
        for at_s, frame in timed_frames(container, stream):
            if at_s + frame.samples / frame.sample_rate <= first / rate:
                continue
            if skip is None:
                skip = round(at_s * rate) - first
                yield np.zeros(max(0, skip), np.int16)
            frame.pts = None
            for part in resampler.resample(frame):
                wave = part.to_ndarray()[0]
                yield wave[max(0, -skip) :]
                skip = min(0, skip + len(wave)) if skip < 0 else 0


def timed_frames(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """The frames of a sound from the container's position on, each with its time in seconds."""
    origin, n_read = origin_of(container, stream), 0
    for frame in container.decode(stream):
        yield (n_read / frame.sample_rate if frame.pts is None else float(frame.pts * stream.time_base) - origin), frame
        n_read += frame.samples
