"""What items become when they are decoded: arrays of one shape and type for the whole set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selflabel.decode.image import decode_square
from selflabel.decode.letterbox import decode_whole
from selflabel.decode.scale import Scale
from selflabel.decode.sound import timed_sound
from selflabel.decode.video import UNKNOWN, media_input, span_of, timed_clip
from selflabel.items import Blob
from selflabel.items.piece import Span


@dataclass(frozen=True)
class DecodedFormat:
    """Kind, shape and rate of a decoded item.

    Args:
        kind: "image" or "clip" of uint8, or "sound" of int16.
        shape: (C, px, px) of an image, (frames, 3, px, px) of a clip, (samples,) of a sound.
        rate: of a sound in Hz; of a clip in frames per second, 0 where they are spread evenly over the video.
        scale: of images that are not plain 8-bit.
        is_event: of a span of a sound, what stands out in it is stored, from its start to its end (see `decode.events`).
        whole: keep the whole frame of an image or clip, with padding beside it (see `decode.letterbox`); else its middle square.
    """

    kind: str
    shape: tuple[int, ...]
    rate: float = 0
    scale: Scale | None = None
    is_event: bool = False
    whole: bool = False

    @property
    def dtype(self) -> np.dtype:
        """int16 for sounds, else uint8."""
        return np.dtype(np.int16 if self.kind == "sound" else np.uint8)

    @property
    def nbytes(self) -> int:
        """Of one item."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def stored_name(self) -> str:
        """Text that names the format in the cache. It has the class's name in version 0.1.0: its caches stay valid."""
        scale = f", {self.scale}" if self.scale else ""
        marks = (", event" if self.is_event else "") + (", whole=True" if self.whole else "")
        return f"Form(kind={self.kind!r}, shape={self.shape!r}, rate={self.rate!r}{scale}{marks})"

    @property
    def has_seconds(self) -> bool:
        """Whether a decoded item shows a stretch of time."""
        return self.kind != "image"

    @property
    def has_sizes(self) -> bool:
        """Whether the size of the upright original is kept of a decoded item."""
        return self.whole and self.kind == "image"

    def decode(self, blob: Blob) -> tuple[np.ndarray, int, Span]:
        """Decode one item.

        Returns:
            The array, how many of its frames or samples there are before they repeat (1 for an image, 0 for no sound), and which
            seconds of the file these are, NaN where that cannot be told.

        Raises:
            Undecodable: the bytes cannot be decoded. OSError: they cannot be read.
        """
        if self.has_sizes:
            pixels, size = decode_whole(blob.read(), self.shape[1], self.shape[0], self.scale)
            return pixels, 1, size
        if self.kind == "image":
            return decode_square(blob.read(), self.shape[1], self.shape[0], self.scale, blob.piece), 1, UNKNOWN
        if self.kind == "clip":
            return timed_clip(media_input(blob), self.shape[0], self.shape[2], self.rate, blob.piece, self.whole)
        return timed_sound(media_input(blob), self.shape[0], int(self.rate), span_of(blob), self.is_event)
