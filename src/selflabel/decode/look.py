"""A look at the data before anything is decided: how large, how long, grey or coloured, written signs or photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from selflabel.decode.image import background_share, is_grey, open_values, peculiarity
from selflabel.decode.scale import Scale, scale_of_sample, to_uint8
from selflabel.decode.sound import RATE, rate_and_seconds, share_above
from selflabel.decode.video import size_and_seconds
from selflabel.items import Blob, Items

T = TypeVar("T")
SAMPLE = 48  # items that are inspected, evenly spread over the set
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
    """

    kind: str
    short_px: int = 0
    channels: int = 0
    seconds: float = 0.0
    rate: float = 0
    frames: int = 0
    scale: Scale | None = None
    notes: tuple[str, ...] = ()


def inspect_items(items: Items, modality: str = "image") -> MediaInfo:
    """Inspect an even sample of the items; it takes milliseconds.

    Args:
        items: the set.
        modality: one of its modalities.

    Example:
        >>> from selflabel.items import open_items
        >>> inspect_items(open_items("digits"))
        MediaInfo(kind='glyph', short_px=8, channels=1, seconds=0.0, rate=0, frames=0, scale=None, notes=())
    """
    if items.are_features:
        return MediaInfo("features")
    if modality == "video":
        return inspect_videos(items.blobs["video"])
    if modality == "audio":
        return inspect_sounds(items.blobs["audio"])
    return inspect_images(items)


def inspect_images(items: Items) -> MediaInfo:
    images = sample_pictures(items, SAMPLE) or sample_pictures(items, LARGE_SAMPLE)
    if not images:
        return MediaInfo("photo", 32, 3)
    scale = scale_of_sample(images)
    notes = (() if scale is None else (scale.describe(),)) + picture_notes(items)
    images = [to_uint8(p, scale) for p in images]
    grey = np.mean([is_grey(p) for p in images]) > 0.9
    glyph = grey and np.median([background_share(p) for p in images]) >= GLYPH_BACKGROUND
    short = int(np.median([min(p.shape[:2]) for p in images]))
    return MediaInfo("glyph" if glyph else "photo", short, 1 if grey else 3, scale=scale, notes=notes)


def inspect_videos(blobs: Sequence[Blob | None]) -> MediaInfo:
    sample = [blobs[i] for i in spread(len(blobs), SAMPLE)]
    known = [x for x in (tried(size_and_seconds, b) for b in sample) if x is not None]
    if not known:
        return MediaInfo("video", 64, 3, 4.0)
    return MediaInfo("video", int(np.median([px for px, _ in known])), 3, float(np.median([s for _, s in known])))


def inspect_sounds(blobs: Sequence[Blob | None]) -> MediaInfo:
    sample = [blobs[i] for i in spread(len(blobs), SAMPLE)]
    known = [x for x in (tried(rate_and_seconds, b) for b in sample) if x is not None and x[0]]
    if not known:
        return MediaInfo("sound", 0, 1, 2.0, RATE)
    rate = min(RATE, max(LEAST_RATE, int(np.median([rate for rate, _ in known]))))
    lengths = [s for _, s in known]
    kind = "spoken" if np.median(lengths) <= SPOKEN_S else "sound"
    notes = pitch_notes(sample, rate, int(np.median([rate for rate, _ in known])))
    return MediaInfo(kind, 0, 1, min(LONGEST_SOUND_S, float(np.quantile(lengths, 0.95))), rate, notes=notes)


def pitch_notes(sample: Sequence[Blob | None], rate: int, own_rate: int) -> tuple[str, ...]:
    """A sentence where most of the energy of most sounds lies above the band that is kept, as of bats and insects.

    Args:
        sample: of the set.
        rate: that is kept, in Hz.
        own_rate: of most files.
    """
    if own_rate <= rate:
        return ()
    present = [blob for blob in sample if blob is not None][:: max(1, len(sample) // HEARD)]
    shares = [x for x in (tried(lambda blob: share_above(blob, rate / 2), blob) for blob in present) if x is not None]
    if not shares or np.median(shares) <= 0.5:
        return ()
    return (f"most of the sounds' energy lies above {rate // 2:,} Hz, which is left out; --set rate={own_rate} keeps it.",)


def tried(look: Callable[[Blob], T], blob: Blob | None) -> T | None:
    """What is found of an item; None where it lacks the modality or a decoder fails on it, which it says when it is decoded."""
    try:
        return None if blob is None else look(blob)
    except Exception:  # decoders raise any exception on broken bytes
        return None


def spread(n: int, size: int) -> list[int]:
    """At most `size` rows of n, evenly spread from the first to the last."""
    return sorted(set(np.linspace(0, n - 1, min(n, size)).astype(int).tolist()))


def picture_notes(items: Items) -> tuple[str, ...]:
    """What is left out of the sample's pictures: later pages and frames, and bands."""
    blobs = [items.blobs["image"][i] for i in spread(len(items), SAMPLE)] if items.blobs else []
    found = [x for x in (tried(lambda blob: peculiarity(blob.read()), blob) for blob in blobs) if x is not None]
    return tuple(f"{found.count(note)} of {len(found)} pictures that were looked at {note}." for note in sorted({*found} - {""}))


def sample_pictures(items: Items, size: int) -> list[np.ndarray]:
    """(H, W[, C]) images of the sample that can be decoded, with their values as they are."""
    images = (read_pixels(items, i) for i in spread(len(items), size))
    return [p for p in images if p is not None]


def read_pixels(items: Items, row: int) -> np.ndarray | None:
    if items.array is not None:
        return np.asarray(items.array[row])
    return tried(lambda blob: np.asarray(open_values(blob.read())), items.blobs["image"][row])
