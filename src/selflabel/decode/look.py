"""A look at the data before anything is decided: how large, how long, grey or coloured, written signs or photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selflabel.decode.image import background_share, is_grey, open_image
from selflabel.decode.limits import DEFAULT_LIMITS, Limits
from selflabel.decode.sound import RATE, rate_and_seconds
from selflabel.decode.video import size_and_seconds
from selflabel.decode.workers import inspect_blobs
from selflabel.items import Blob, Items

SAMPLE = 48  # items that are inspected, evenly spread over the set
LARGE_SAMPLE = 20 * SAMPLE  # where none of the sample can be decoded
GLYPH_BACKGROUND = 0.4  # share of background from which on a grey picture is a written sign
LONGEST_SOUND_S = 10.0  # longer sounds are cut
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
    """

    kind: str
    short_px: int = 0
    channels: int = 0
    seconds: float = 0.0
    rate: float = 0
    frames: int = 0


@dataclass(frozen=True)
class Look:
    """How a sample is inspected: the limits of one item, and what is called with (step, done, total)."""

    limits: Limits = DEFAULT_LIMITS
    on_progress: Callable[[str, int, int], None] = lambda step, done, total: None

    def __call__(self, inspect: Callable[[Blob], Any], blobs: Sequence[Blob | None]) -> list[Any]:
        """inspect(blob) of each blob, in a process that can be killed; without None and without items that fail."""
        return inspect_blobs(inspect, blobs, self.limits, lambda done, total: self.on_progress("inspecting", done, total))


def inspect_items(
    items: Items,
    modality: str = "image",
    limits: Limits = DEFAULT_LIMITS,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> MediaInfo:
    """Inspect an even sample of the items; it takes milliseconds. An item that fails or exceeds its limits is not part of it.

    Args:
        items: the set.
        modality: one of its modalities.
        limits: of one item.
        on_progress: called with (name of the step, items done, items in all).

    Example:
        >>> from selflabel.items import open_items
        >>> inspect_items(open_items("digits"))
        MediaInfo(kind='glyph', short_px=8, channels=1, seconds=0.0, rate=0, frames=0)
    """
    if items.are_features:
        return MediaInfo("features")
    look = Look(limits, on_progress) if on_progress else Look(limits)
    if modality == "video":
        return inspect_videos(items.blobs["video"], look)
    if modality == "audio":
        return inspect_sounds(items.blobs["audio"], look)
    return inspect_images(items, look)


def inspect_images(items: Items, look: Look) -> MediaInfo:
    known = inspect_pictures(items, SAMPLE, look) or inspect_pictures(items, LARGE_SAMPLE, look)
    if not known:
        return MediaInfo("photo", 32, 3)
    shorts, greys, backgrounds = zip(*known)
    grey = np.mean(greys) > 0.9
    glyph = grey and np.median(backgrounds) >= GLYPH_BACKGROUND
    short = int(np.median(shorts))
    return MediaInfo("glyph" if glyph else "photo", short, 1 if grey else 3)


def inspect_videos(blobs: Sequence[Blob | None], look: Look) -> MediaInfo:
    known = look(size_and_seconds, [blobs[i] for i in spread(len(blobs), SAMPLE)])
    if not known:
        return MediaInfo("video", 64, 3, 4.0)
    return MediaInfo("video", int(np.median([px for px, _ in known])), 3, float(np.median([s for _, s in known])))


def inspect_sounds(blobs: Sequence[Blob | None], look: Look) -> MediaInfo:
    known = look(rate_and_seconds, [blobs[i] for i in spread(len(blobs), SAMPLE)])
    if not known:
        return MediaInfo("sound", 0, 1, 2.0, RATE)
    rate = min(RATE, int(np.median([rate for rate, _ in known])))
    lengths = [s for _, s in known]
    kind = "spoken" if np.median(lengths) <= SPOKEN_S else "sound"
    return MediaInfo(kind, 0, 1, min(LONGEST_SOUND_S, float(np.quantile(lengths, 0.95))), rate)


def spread(n: int, size: int) -> list[int]:
    """At most `size` rows of n, evenly spread from the first to the last."""
    return sorted(set(np.linspace(0, n - 1, min(n, size)).astype(int).tolist()))


def inspect_pictures(items: Items, size: int, look: Look) -> list[tuple[int, bool, float]]:
    """(short side, whether it is grey, share of background) of each picture of the sample that can be decoded."""
    rows = spread(len(items), size)
    if items.array is not None:
        return [describe_pixels(np.asarray(items.array[row])) for row in rows]
    return look(describe_picture, [items.blobs["image"][row] for row in rows])


def describe_picture(blob: Blob) -> tuple[int, bool, float]:
    """See `describe_pixels`."""
    return describe_pixels(np.asarray(open_image(blob.read())))


def describe_pixels(pixels: np.ndarray) -> tuple[int, bool, float]:
    """(short side, whether it is grey, share of background) of an (H, W[, C]) uint8 picture."""
    return min(pixels.shape[:2]), is_grey(pixels), background_share(pixels)
