"""One file's sound to a mono wave at one rate. Imports no torch, so that worker processes start quickly.

Most sounds are mixed and resampled by FFmpeg as they are. Those that this would lose are levelled first (`levelled_wave`): very
quiet ones, channels that cancel one another, a constant offset, floats far above full scale.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from selflabel.decode.events import REACH, event_of
from selflabel.decode.image import Undecodable
from selflabel.decode.levels import channels_of, is_plain, levelled_wave, resample
from selflabel.decode.sound_spans import SoundReader
from selflabel.decode.video import (
    UNKNOWN,
    is_wrong,
    measured_seconds,
    media_input,
    open_media,
    origin_of,
    packet_seconds,
    seconds_of,
    seconds_shown,
    seek,
    shift_of,
    span_of,
)
from selflabel.items import Blob
from selflabel.items.piece import Span

RATE = 16_000  # Hz, at most
EARLY_S = 0.5  # a sound may start so much before the second that was asked for
LONG_RATIO = 3  # a sound more than so many times as long as the wave: only its middle is decoded
MEASURED_BYTES = 4_000_000


def decode_sound(
    data: bytes | str, samples: int, rate: int = RATE, span_s: Span | None = None, is_event: bool = False
) -> tuple[np.ndarray, int]:
    """Decode a sound, or a span of it, to one length: the middle of a longer one, repeats of a shorter one.

    Args:
        data: the file's bytes, or its name.
        samples: length of the wave.
        rate: in Hz.
        span_s: first and last moment in seconds; None for the whole sound.
        is_event: of a span, only what stands out in it (see `decode.events`).

    Returns:
        (samples,) int16 mono, and how many samples there are before they repeat; 0 for a video without a sound track or with a
        silent one, which is no error.

    Raises:
        Undecodable: neither video nor sound, damaged from the start, or of a rate or channels that cannot be converted.
    """
    return timed_sound(data, samples, rate, span_s, is_event)[:2]


def timed_sound(
    data: bytes | str, samples: int, rate: int = RATE, span_s: Span | None = None, is_event: bool = False
) -> tuple[np.ndarray, int, Span]:
    """As `decode_sound`, and the seconds of the file that are heard before the sound repeats."""
    if span_s is not None:
        with closing(SoundSpans(data, samples, rate, is_event)) as spans:
            return spans.decode(span_s)
    with open_media(data) as container:
        if not container.streams.audio:
            if container.streams.video:
                return np.zeros(samples, np.int16), 0, UNKNOWN
            raise Undecodable("has no sound")
        stream = container.streams.audio[0]
        shift = shift_of(container, stream)
        length = seconds_of(container, stream)
        wave, start = read_middle(container, length, samples, rate) if length > 0 else (np.zeros(0, np.int16), 0.0)
    if has_wrong_length(len(wave), length, samples, rate):
        measured = measured_seconds(data, "audio")
        if is_wrong(length, measured):
            with open_media(data) as container:
                wave, start = read_middle(container, measured, samples, rate)
    return fitted(wave, samples, rate, start + shift)


class SoundSpans:
    """Spans of one file's sound as `timed_sound` gives them, in the order of their starts, in one pass.

    Args:
        data: the file's bytes, or its name.
        samples: length of each wave.
        rate: in Hz.
        is_event: only what stands out in each of them.

    Raises:
        Undecodable: as `decode_sound`.
    """

    def __init__(self, data: bytes | str, samples: int, rate: int, is_event: bool = False):
        self.reader, self.samples, self.rate, self.is_event = SoundReader(data, rate), samples, rate, is_event

    def decode(self, span_s: Span) -> tuple[np.ndarray, int, Span]:
        """See `timed_sound`. A span that begins before the last one is found by opening the file again."""
        if not self.reader.has_sound:
            return np.zeros(self.samples, np.int16), 0, UNKNOWN
        wave, start = self.read_event(*span_s) if self.is_event else (self.reader.read(span_s), span_s[0])
        return fitted(wave, self.samples, self.rate, start + shift_of(self.reader.container, self.reader.stream))

    def read_event(self, start_s: float, end_s: float) -> tuple[np.ndarray, float]:
        """((S,) what stands out in a span, the second at which it starts)."""
        reach, rate = REACH * (end_s - start_s), self.reader.rate
        from_s = max(0.0, start_s - reach)
        wave = self.reader.read((from_s, end_s + reach))
        first, end = (min(len(wave), round((at_s - from_s) * rate)) for at_s in (start_s, end_s))
        first, end = event_of(wave, rate, (first, end))
        return wave[first:end], from_s + first / rate

    def close(self) -> None:
        self.reader.close()


def fitted(wave: np.ndarray, samples: int, rate: int, start_s: float) -> tuple[np.ndarray, int, Span]:
    """A wave (S,) that starts at a second of the file, at one length; see `timed_sound`."""
    if len(wave) == 0:
        raise Undecodable("has no sound that can be decoded")
    if not wave.any():
        return np.zeros(samples, np.int16), 0, UNKNOWN
    if len(wave) >= samples:
        first = (len(wave) - samples) // 2
        start_s += first / rate
        return wave[first : first + samples], samples, (start_s, start_s + samples / rate)
    return np.resize(wave, samples), len(wave), (start_s, start_s + len(wave) / rate)


def read_middle(container: Any, length_s: float, samples: int, rate: int) -> tuple[np.ndarray, float]:
    """(the middle of a long sound, or all of a short one, the second at which it starts); of one that goes on for longer than it
    should, its beginning.
    """
    span = samples / rate
    if length_s <= LONG_RATIO * span:
        return read_wave(container, rate, int(2 * LONG_RATIO * samples) + rate)
    first = (length_s - span) / 2
    seek(container, first + origin_of(container, container.streams.audio[0]))
    return read_wave(container, rate, samples, first)


def has_wrong_length(n: int, length_s: float, samples: int, rate: int) -> bool:
    """Whether `n` samples are other than a sound of this length gives."""
    expected = samples if length_s > LONG_RATIO * samples / rate else length_s * rate
    return length_s <= 0 or is_wrong(expected / rate, max(n, 1) / rate)


def read_wave(container: Any, rate: int, samples: int | None = None, at_s: float = 0.0) -> tuple[np.ndarray, float]:
    """(the sound track from the container's position on, the second at which that is).

    Args:
        container: of the file.
        rate: in Hz.
        samples: how many; None for all up to the end or the first damage.
        at_s: the second that was asked for. A film is entered at a key frame of its picture, which may be long before: of what
            comes earlier than EARLY_S before that second nothing is kept.

    Raises:
        Undecodable: its rate or channels cannot be converted.
    """
    import av

    stream, queue, start = container.streams.audio[0], av.AudioFifo(), None
    try:
        for frame in container.decode(stream):
            if start is None:
                at = at_s if frame.pts is None else float(frame.pts * frame.time_base) - origin_of(container, stream)
                if at + EARLY_S < at_s:
                    continue
                start = at
            frame.pts = None  # sounds are joined without their gaps
            queue.write(frame)
            if samples is not None and queue.samples * rate >= (samples + rate) * frame.sample_rate:
                break
    except (av.FFmpegError, ValueError):
        pass
    wave = mixed(queue.read(), rate)[:samples]  # resampled at once: a call costs as much as a frame
    return wave, at_s if start is None else start


def mixed(whole: Any, rate: int) -> np.ndarray:
    """(S,) int16 mix of a frame's channels at a rate, levelled where it has to be; empty for None. Raises Undecodable."""
    import av

    if whole is None:
        return np.zeros(0, np.int16)
    try:
        channels = channels_of(whole)
        wave = resample(whole, rate)
        return wave if is_plain(wave, channels) else resample(levelled_wave(whole, channels), rate)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        n = whole.layout.nb_channels
        raise Undecodable(f"its sound of {whole.sample_rate} Hz and {n} channels cannot be converted ({error})") from error


def rate_and_seconds(blob: Blob) -> tuple[int, float] | None:
    """(rate in Hz, length in seconds) of the sound track, or of a span of it, as the file states them; None without one.

    A missing length is measured, and in a file of at most MEASURED_BYTES one that cannot be right, too.
    """
    try:
        with open_media(media_input(blob)) as container:
            stream = container.streams.audio[0]
            seconds = seconds_of(container, stream)
            measured = packet_seconds(container, stream) if seconds <= 0 or container.size <= MEASURED_BYTES else seconds
            return stream.rate, seconds_shown(blob, measured if is_wrong(seconds, measured) else seconds)
    except (Undecodable, IndexError, OSError):
        return None


def share_above(blob: Blob, hertz: float) -> float | None:
    """Share of the energy of a second of a sound that lies above a frequency in Hz; None where that cannot be found.

    The second is from its middle, or from the start of a span.
    """
    import av

    try:
        with open_media(media_input(blob)) as container:
            stream = container.streams.audio[0]
            rate, length = stream.rate, seconds_of(container, stream)
            if rate <= 2 * hertz:
                return 0.0
            start = (span_of(blob) or (length / 2 if length > 2 else 0.0,))[0]
            if start > 0:
                seek(container, start + origin_of(container, stream))
            wave = read_wave(container, rate, rate)[0].astype(np.float32)
    except (Undecodable, IndexError, OSError, av.FFmpegError, ValueError):
        return None
    power = np.square(np.abs(np.fft.rfft((wave - wave.mean()) * np.hanning(len(wave))))) if len(wave) > 1 else np.zeros(1)
    return float(power[int(hertz * len(wave) / rate) :].sum() / power.sum()) if power.sum() > 0 else None
