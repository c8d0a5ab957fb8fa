"""A look at the data before anything is decided: how large, how long, grey or coloured, written signs or photographs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from selflabel.decode.image import background_share, is_grey, open_values, peculiarity, square_around
from selflabel.decode.limits import DEFAULT_LIMITS, Limits
from selflabel.decode.scale import Scale, scale_of_sample, to_uint8
from selflabel.decode.sound import RATE, rate_and_seconds, share_above
from selflabel.decode.video import size_and_seconds, span_of
from selflabel.decode.workers import MEDIA_LIBRARIES, inspect_blobs
from selflabel.items import Blob, Items

SAMPLE = 48  # items that are inspected, evenly spread over the set
MAX_PIXELS = 1 << 22  # of an inspected picture that are looked at
LARGE_SAMPLE = 20 * SAMPLE  # where none of the sample can be decoded
GLYPH_BACKGROUND = 0.4  # share of background from which on a grey picture is a written sign
LONGEST_SOUND_S = 10.0  # longer sounds are cut
LEAST_RATE = 1000  # Hz
HEARD = 8  # sounds whose pitch is looked at
SPOKEN_S = 1.5  # median length up to which sounds count as words, which differ in how they change over time


@dataclass(frozen=True)
class MediaInfo:
    """What the items of a set are, by a sample of them.

    Args:
        kind: "glyph", "photo", "features", "video", "sound" or "spoken".
        short_px: median of the short sides, in pixels.
        channels: 1 or 3.
        seconds: median length of the videos; of sounds, the length that 95 of 100 keep to.
        rate: of sounds, samples per second that keep what most of them have; of videos, frames per second where the user
            gave a rate, else 0.
        frames: in a view of a video.
        scale: of pictures that are not plain 8-bit.
        notes: sentences about what was assumed.
        is_guess: nothing of the sample could be decoded.
        lengths_s: of the sounds or films of the sample, in seconds; of films that are spans of files none, as all of a span is
            shown.
    """

    kind: str
    short_px: int = 0
    channels: int = 0
    seconds: float = 0.0
    rate: float = 0
    frames: int = 0
    scale: Scale | None = None
    notes: tuple[str, ...] = ()
    is_guess: bool = field(default=False, repr=False, compare=False)
    lengths_s: tuple[float, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Look:
    """How a sample is inspected: the limits of one item, and what is called with (step, done, total) and with sentences."""

    limits: Limits = DEFAULT_LIMITS
    on_progress: Callable[[str, int, int], None] = lambda step, done, total: None
    say: Callable[[str], None] | None = None

    def __call__(
        self, inspect: Callable[[Blob], Any], blobs: Sequence[Blob | None], libraries: tuple[str, ...] = ()
    ) -> list[Any]:
        """inspect(blob) of each blob, in a process that can be killed; without None and without items that fail."""
        return inspect_blobs(inspect, blobs, self.limits, partial(self.on_progress, "inspecting"), self.say, libraries)


def inspect_items(items: Items, modality: str = "image", look: Look = Look()) -> MediaInfo:
    """Inspect an even sample of the items; it takes milliseconds. An item that fails or exceeds its limits is not part of it.

    Args:
        items: the set.
        modality: one of its modalities.
        look: how they are inspected.

    Example:
        >>> from selflabel.items import open_items
        >>> inspect_items(open_items("digits"))
        MediaInfo(kind='glyph', short_px=8, channels=1, seconds=0.0, rate=0, frames=0, scale=None, notes=())
    """
    if items.are_features:
        shown = inspect_images(replace(items, array=None), look) if "image" in items.blobs else None
        return MediaInfo("features", scale=shown.scale if shown else None)
    if modality == "video":
        return inspect_videos(items.blobs["video"], look)
    if modality == "audio":
        return inspect_sounds(items.blobs["audio"], look)
    return inspect_images(items, look)


def inspect_images(items: Items, look: Look) -> MediaInfo:
    sample = sample_pictures(items, SAMPLE, look) or sample_pictures(items, LARGE_SAMPLE, look)
    if not sample:
        return MediaInfo("photo", 32, 3, is_guess=True)
    scale = scale_of_sample([pixels for _, pixels in sample])
    notes = (() if scale is None else (scale.describe(),)) + picture_notes(items, look)
    images = [to_uint8(pixels, scale) for _, pixels in sample]
    grey = np.mean([is_grey(p) for p in images]) > 0.9
    glyph = grey and np.median([background_share(p) for p in images]) >= GLYPH_BACKGROUND
    short = int(np.median([short_px for short_px, _ in sample]))
    return MediaInfo("glyph" if glyph else "photo", short, 1 if grey else 3, scale=scale, notes=notes)


def inspect_videos(blobs: Sequence[Blob | None], look: Look) -> MediaInfo:
    sample = [blobs[i] for i in spread(len(blobs), SAMPLE)]
    known = look(size_and_seconds, sample, MEDIA_LIBRARIES)
    if not known:
        return MediaInfo("video", 64, 3, 4.0, is_guess=True)
    lengths = () if any(blob is not None and span_of(blob) for blob in sample) else tuple(s for _, s in known)
    px, seconds = (float(np.median(values)) for values in zip(*known))
    return MediaInfo("video", int(px), 3, seconds, lengths_s=lengths)


def inspect_sounds(blobs: Sequence[Blob | None], look: Look) -> MediaInfo:
    sample = [blobs[i] for i in spread(len(blobs), SAMPLE)]
    known = [(rate, seconds) for rate, seconds in look(rate_and_seconds, sample, MEDIA_LIBRARIES) if rate]
    if not known:
        return MediaInfo("sound", 0, 1, 2.0, RATE, is_guess=True)
    rate = min(RATE, max(LEAST_RATE, int(np.median([rate for rate, _ in known]))))
    lengths = [s for _, s in known]
    kind = "spoken" if np.median(lengths) <= SPOKEN_S else "sound"
    notes = pitch_notes(sample, rate, int(np.median([rate for rate, _ in known])), look)
    seconds = min(LONGEST_SOUND_S, float(np.quantile(lengths, 0.95)))
    return MediaInfo(kind, 0, 1, seconds, rate, notes=notes, lengths_s=tuple(lengths))


def pitch_notes(sample: Sequence[Blob | None], rate: int, own_rate: int, look: Look) -> tuple[str, ...]:
    """A sentence where most of the energy of most of some sounds lies above the band that is kept, as of bats and insects.

    Args:
        sample: of the set.
        rate: that is kept, in Hz.
        own_rate: of most files.
        look: how they are inspected.
    """
    if own_rate <= rate:
        return ()
    present = [blob for blob in sample if blob is not None][:: max(1, len(sample) // HEARD)]
    shares = look(partial(share_above, hertz=rate / 2), present, MEDIA_LIBRARIES)
    high = sum(share > 0.5 for share in shares)
    if 2 * high <= len(shares):
        return ()
    return (
        f"in {high} of {len(shares)} sounds of which a second was looked at, most of the energy lies above "
        f"{rate // 2:,} Hz, which is left out; --set rate={own_rate} keeps it.",
    )


def spread(n: int, size: int) -> list[int]:
    """At most `size` rows of n, evenly spread from the first to the last."""
    return sorted(set(np.linspace(0, n - 1, min(n, size)).astype(int).tolist()))


def picture_notes(items: Items, look: Look) -> tuple[str, ...]:
    """What is left out of the sample's pictures: later pages and frames, and bands."""
    if not items.blobs:
        return ()
    found = look(peculiarity_of, [items.blobs["image"][i] for i in spread(len(items), SAMPLE)])
    return tuple(f"{found.count(note)} of {len(found)} pictures that were looked at {note}." for note in sorted({*found} - {""}))


def peculiarity_of(blob: Blob) -> str:
    """See `image.peculiarity`."""
    return peculiarity(blob.read())


def sample_pictures(items: Items, size: int, look: Look) -> list[tuple[int, np.ndarray]]:
    """(short side in pixels, (H, W[, C]) values as they are) of each picture of the sample that can be decoded."""
    rows = spread(len(items), size)
    if items.array is not None:
        return [thinned(np.asarray(items.array[row])) for row in rows]
    return look(read_pixels, [items.blobs["image"][row] for row in rows])


def read_pixels(blob: Blob) -> tuple[int, np.ndarray]:
    """See `sample_pictures`; of a piece with a box only these pixels."""
    pixels = np.asarray(open_values(blob.read()))
    if blob.piece is not None and blob.piece.box is not None:
        x0, y0, x1, y1 = map(round, square_around(blob.piece.box, blob.piece.size))
        y0, x0 = min(y0, pixels.shape[0] - 1), min(x0, pixels.shape[1] - 1)  # of half a pixel at the edge
        pixels = pixels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    return thinned(pixels)


def thinned(pixels: np.ndarray) -> tuple[int, np.ndarray]:
    """(short side, the pixels), of a large picture only every second, third ... row and column."""
    step = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / MAX_PIXELS)) or 1
    return min(pixels.shape[:2]), np.ascontiguousarray(pixels[::step, ::step])
