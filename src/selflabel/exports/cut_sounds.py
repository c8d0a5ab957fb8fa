"""Time spans cut out of a sound, sample by sample: WAV of the sound's own rate and channels.

Samples of a lossless file are stored as they are. Lossy codecs decode to floats; these are rounded to 16 bits, which every reader
takes, and which is finer than what the codec left.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any

import numpy as np

from selflabel.decode.sound_spans import RUN_UP_S
from selflabel.decode.video import media_input, open_media, origin_of, seek
from selflabel.items import Blob
from selflabel.items.piece import Span
from selflabel.runs.missing import Missing

JUMP_S = 30.0  # a span that begins so much later is jumped to
EXACT_FLOATS = ("pcm_", "wavpack")  # what the names of codecs begin with whose floats are the stored ones
PCM, FLOAT = 1, 3  # kinds of samples in a WAV
MAX_WAV_BYTES = (1 << 32) - 64


class TrackReader:
    """The sound track of one file, read once where spans come in the order of their starts.

    Args:
        blob: of the file, whose own piece does not matter.

    Attributes:
        rate: in Hz.
        layout: of its channels, by FFmpeg's name.

    Raises:
        Undecodable: it is no sound or film.
        Missing: it has no sound track.
    """

    def __init__(self, blob: Blob):
        self.blob = blob
        self.open()
        stream = self.container.streams.audio[0]
        self.rate, self.layout = int(stream.rate), stream.layout.name
        self.is_exact = stream.codec_context.name.startswith(EXACT_FLOATS)

    def open(self) -> None:
        """Begin at the first sample."""
        self.container = open_media(media_input(self.blob))
        if not self.container.streams.audio:
            raise Missing("has no sound")
        self.begin()

    def begin(self) -> None:
        """Forget what was read, and read on from where the container is."""
        self.frames = self.container.decode(self.container.streams.audio[0])
        self.parts: deque[tuple[int, np.ndarray]] = deque()  # the first sample's number, and (samples, channels)
        self.next: int | None = None  # the number of the next sample; None before the first frame
        self.first_kept = 0  # samples before it are gone
        self.has_ended = False

    def samples(self, span_s: Span) -> np.ndarray:
        """(samples, channels) of a span, fewer where the sound ends before it. Raises Missing where it has none there."""
        first, end = (round(second * self.rate) for second in span_s)
        if first < self.first_kept:
            self.open()
        if first > (self.next or 0) + JUMP_S * self.rate:
            self.jump(first)
        while not self.has_ended and (self.next is None or self.next < end):
            self.read_frame(first)
        cut = [part[max(first - at, 0) : end - at] for at, part in self.parts if at < end and at + len(part) > first]
        if not cut:
            raise Missing("has no sound in this span")
        return np.concatenate(cut)

    def jump(self, first: int) -> None:
        """Go on a little before a sample."""
        at_s = first / self.rate - RUN_UP_S
        seek(self.container, at_s + origin_of(self.container, self.container.streams.audio[0]))
        self.begin()
        self.read_frame(first)
        self.first_kept = self.parts[0][0] if self.parts else self.next or 0

    def read_frame(self, first: int) -> None:
        """Read the next frame, and forget what ends before the sample `first`."""
        import av

        try:
            frame = next(self.frames, None)
        except (av.FFmpegError, ValueError):
            frame = None
        if frame is None or frame.sample_rate != self.rate or frame.layout.name != self.layout:
            self.has_ended = True
            return
        at = self.time_of(frame) if self.next is None else self.next
        self.next = at + frame.samples
        self.parts.append((at, frame_samples(frame, self.is_exact)))
        while self.parts and self.parts[0][0] + len(self.parts[0][1]) <= first:
            self.first_kept = self.parts[0][0] + len(self.parts[0][1])
            self.parts.popleft()

    def time_of(self, frame: Any) -> int:
        """The number of a frame's first sample by its time; 0 where it has none."""
        stream = self.container.streams.audio[0]
        if frame.pts is None:
            return 0
        return max(0, round((float(frame.pts * stream.time_base) - origin_of(self.container, stream)) * self.rate))


def frame_samples(frame: Any, is_exact: bool) -> np.ndarray:
    """(samples, channels) of a frame in its own type, floats of a lossy codec as int16."""
    values = frame.to_ndarray()
    samples = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if samples.dtype.kind == "f" and not is_exact:
        return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    return samples if samples.dtype.itemsize < 8 or samples.dtype.kind == "f" else (samples >> 32).astype(np.int32)


def wav_bytes(samples_SC: np.ndarray, rate: int) -> bytes:
    """A WAV file of (samples, channels) of uint8, int16, int32, float32 or float64. Raises Missing where it is too long."""
    data = np.ascontiguousarray(samples_SC).astype(samples_SC.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(data) > MAX_WAV_BYTES:
        raise Missing("is too long for a WAV file, which holds 4 GB")
    size, channels = samples_SC.dtype.itemsize, samples_SC.shape[1]
    kind = FLOAT if samples_SC.dtype.kind == "f" else PCM
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * size, channels * size, 8 * size)
    padding = b"\0" * (len(data) % 2)
    chunks = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data + padding
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
