"""Spans of one file's sound, read forwards: they share one pass over the file, whatever its length. Imports no torch.

The sound is mixed and resampled as it is decoded, in blocks, and each span is cut from the wave as soon as it is complete. A
wave's samples lie at whole multiples of 1 / rate from the start of the sound: resampling begins where both rates have a sample,
so that a span is the same wave whether it is read alone or after others.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from selflabel.decode.image import Undecodable
from selflabel.decode.levels import TYPES, are_cancelled, channels_of, levelled_wave, resample, step_of, to_int16
from selflabel.decode.video import open_media, origin_of, seek
from selflabel.items.piece import Span

RUN_UP_S = 0.5  # decoded before a span: the first frames after a jump can be incomplete
JUMP_S = 10.0  # a span so much later is jumped to; what lies nearer is decoded
BLOCK_S = 2.0  # resampled at a time: a call costs as much as some frames
GAP_S = 0.1  # of time without frames, from which on it counts as a gap; less is how exactly a file states times
FILTER_S = 0.05  # that the resampler may look back
LEFT_OUT_S = (
    0.05  # at most, at the start of a stretch: where both rates have a sample only later, it begins between two of the wave
)
LOOKED_AT = 4096  # samples of a span, evenly spread, by which two channels are compared


class Stretch:
    """Sound without gaps, which becomes a wave while it is read.

    Args:
        frame: the first one.
        first: its first sample, counted from the start of the sound.
        rate: of the wave, in Hz.
    """

    def __init__(self, frame: Any, first: int, rate: int):
        import av

        self.own_rate, self.n_channels, self.rate = frame.sample_rate, frame.layout.nb_channels, rate
        self.queue, self.next, self.begun, self.is_begun = av.AudioFifo(), first, first, False
        self.made = round(first * rate / self.own_rate)  # the sample of the wave that comes next
        self.resampler, self.gain = av.AudioResampler(format="flt", layout="mono", rate=rate), mix_gain(frame.layout.name)

    def add(self, frame: Any) -> bool:
        """Add the next frame; False for one of another rate, format or layout, which begins a stretch of its own."""
        if frame.layout.nb_channels != self.n_channels:
            return False
        frame.pts = None
        try:
            self.queue.write(frame)
        except ValueError:
            return False
        self.next += frame.samples
        return True

    def skip_to_common_sample(self) -> None:
        """Leave out what lies before the first sample for which both rates have one."""
        self.is_begun = True
        n = -self.begun % (self.own_rate // math.gcd(self.own_rate, self.rate))
        if 0 < n < min(self.queue.samples, LEFT_OUT_S * self.own_rate):
            self.queue.read(n)
            self.begun += n
            self.made = round(self.begun * self.rate / self.own_rate)

    def take(self) -> Any:
        """What is queued, as one frame; None for nothing."""
        if not self.is_begun:
            self.skip_to_common_sample()
        frame = self.queue.read()
        self.begun = self.next
        return frame

    def resampled(self, frame: Any) -> np.ndarray:
        """(S,) float32 that comes next; a frame of None ends the stretch."""
        parts = [part.to_ndarray()[0] for part in self.resampler.resample(frame)]
        wave = self.gain * np.concatenate(parts) if parts else np.zeros(0, np.float32)
        self.made += len(wave)
        return wave


class SoundReader:
    """The sound of one file, of which spans are read in the order of their starts.

    Args:
        data: the file's bytes, or its name.
        rate: of the waves, in Hz.

    Raises:
        Undecodable: neither video nor sound, or it has no sound.
    """

    def __init__(self, data: bytes | str, rate: int):
        self.data, self.rate = data, rate
        self.open()

    def open(self) -> None:
        """Start at the beginning of the file."""
        self.container = open_media(self.data)
        if not self.has_sound and not self.container.streams.video:
            self.close()
            raise Undecodable("has no sound")
        self.kept_from = 0  # the first sample of the wave that is still there
        self.is_fresh, self.is_ended, self.is_damaged = True, False, False
        self.forget_all()
        if self.has_sound:
            self.stream = self.container.streams.audio[0]
            self.tick_s, self.origin_s = float(self.stream.time_base), origin_of(self.container, self.stream)
            self.frames = self.decoded()

    @property
    def has_sound(self) -> bool:
        """Whether it is no film without a sound track."""
        return len(self.container.streams.audio) > 0

    def close(self) -> None:
        self.container.close()

    def forget_all(self) -> None:
        self.stretch: Stretch | None = None
        self.waves: deque[tuple[int, np.ndarray]] = deque()  # first sample, float32 wave
        self.blocks: deque[tuple[int, Any]] = deque()  # first sample of its own rate, frame

    def decoded(self) -> Iterator[Any]:
        """The frames from the container's position on, up to the end or the first damage."""
        import av

        try:
            yield from self.container.decode(self.stream)
        except (av.FFmpegError, ValueError):
            self.is_damaged = True

    def read(self, span_s: Span) -> np.ndarray:
        """(S,) int16 of a span in seconds, levelled where it has to be; what lies in gaps or after the end is left out.

        Raises:
            Undecodable: its rate or channels cannot be converted.
        """
        first = round(span_s[0] * self.rate)
        end = first + round((span_s[1] - span_s[0]) * self.rate)
        self.go_to(first, span_s[0])
        was_fresh = self.is_fresh
        self.read_until(end)
        if self.is_damaged and not was_fresh and (not self.waves or self.waves[-1][0] + len(self.waves[-1][1]) < end):
            self.go_to(first, span_s[0])  # the damage may lie before the span
            self.read_until(end)
        self.forget(first)
        return self.cut(first, end)

    def go_to(self, first: int, start_s: float) -> None:
        """Be at a place from which the wave's sample `first` can be read, at `start_s` seconds."""
        if self.is_damaged or first < self.kept_from:
            self.close()
            self.open()
        made = self.stretch.made if self.stretch else 0
        if first > made + (RUN_UP_S if self.is_fresh else JUMP_S) * self.rate:
            self.forget_all()
            seek(self.container, start_s + self.origin_s - RUN_UP_S)
            self.frames, self.is_fresh, self.is_ended = self.decoded(), True, False

    def read_until(self, end: int) -> None:
        """Decode until the wave has its sample `end`, or the file ends."""
        import av

        try:
            while not self.is_ended and (self.stretch is None or self.stretch.made < end):
                frame = next(self.frames, None)
                self.is_fresh = False
                if frame is None:
                    self.end_stretch()
                    self.is_ended = True
                else:
                    self.add(frame)
        except (av.FFmpegError, ValueError, OverflowError) as error:
            rate, n = self.stream.codec_context.sample_rate, self.stream.codec_context.layout.nb_channels
            raise Undecodable(f"its sound of {rate} Hz and {n} channels cannot be converted ({error})") from error

    def add(self, frame: Any) -> None:
        """Add a frame; resample what is queued where it is a block."""
        at = self.place_of(frame)
        if self.stretch is None or at != self.stretch.next or not self.stretch.add(frame):
            self.end_stretch()
            self.stretch = Stretch(frame, at, self.rate)
            self.stretch.add(frame)
        if self.stretch.queue.samples >= BLOCK_S * self.stretch.own_rate:
            self.resample_queue()

    def place_of(self, frame: Any) -> int:
        """The frame's first sample, counted from the start of the sound; times that go back are not believed."""
        following = self.stretch.next * frame.sample_rate / self.stretch.own_rate if self.stretch else 0
        if frame.pts is None:
            return round(following)
        at = (frame.pts * self.tick_s - self.origin_s) * frame.sample_rate
        return round(at if self.stretch is None or at > following + GAP_S * frame.sample_rate else following)

    def resample_queue(self) -> None:
        assert self.stretch is not None
        block = self.stretch.take()
        if block is None:
            return
        block.pts = None
        made = self.stretch.made
        self.waves.append((made, self.stretch.resampled(block)))
        if block.layout.nb_channels == 2:
            self.blocks.append((self.stretch.next - block.samples, block))

    def end_stretch(self) -> None:
        """Resample what is left of the stretch that is being read."""
        if self.stretch is not None:
            self.resample_queue()
            made = self.stretch.made
            self.waves.append((made, self.stretch.resampled(None)))

    def forget(self, first: int) -> None:
        """Drop what ends before the wave's sample `first`: later spans do not begin before it."""
        self.kept_from = first
        while self.waves and self.waves[0][0] + len(self.waves[0][1]) <= first:
            self.waves.popleft()
        at_s = first / self.rate - FILTER_S
        while self.blocks and self.blocks[0][0] + self.blocks[0][1].samples <= at_s * self.blocks[0][1].sample_rate:
            self.blocks.popleft()

    def cut(self, first: int, end: int) -> np.ndarray:
        """(S,) int16 of the wave's samples from `first` to `end`."""
        parts = [wave[max(0, first - at) : end - at] for at, wave in self.waves if at < end and at + len(wave) > first]
        wave = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if self.blocks and are_cancelled(self.channels(first, end, sparse=True)):
            wave = self.louder_channel(first, end)
        return to_int16(wave, step_of(self.stream.codec_context.format.name))

    def channels(self, first: int, end: int, sparse: bool = False) -> list[np.ndarray]:
        """The samples of both channels, between two samples of the wave; sparse: only some, evenly spread."""
        kept: list[list[np.ndarray]] = [[], []]
        for at, block in self.blocks:
            own = block.sample_rate / self.rate
            a, b = max(0, round(first * own) - at), round(end * own) - at
            step = max(1, int((end - first) * own) // LOOKED_AT) if sparse else 1
            if b > 0 and a < block.samples and block.format.name.removesuffix("p") in TYPES:
                for channel, samples in zip(kept, channels_of(block)):
                    channel.append(samples[a:b:step])
        return [np.concatenate(parts) for parts in kept if parts]

    def louder_channel(self, first: int, end: int) -> np.ndarray:
        """(S,) float32 of a span of two channels that cancel one another."""
        block = self.blocks[0][1]
        mono = levelled_wave(block, self.channels(first, end))
        return resample(mono, self.rate).astype(np.float32)[: end - first] / 32768


@lru_cache
def mix_gain(layout: str) -> np.float32:
    """What keeps a mix of channels at full scale: mixed as floats, FFmpeg adds them up to more."""
    import av

    n = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.full((n, 1024), 0.125, np.float32), format="fltp", layout=layout)
    frame.sample_rate = 8000
    mix = av.AudioResampler(format="flt", layout="mono", rate=8000).resample(frame)[0].to_ndarray()
    return np.float32(0.125 / max(0.125, float(mix.max())))
