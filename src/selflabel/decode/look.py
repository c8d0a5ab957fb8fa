"""A look at the data before anything is decided: how large, how long, grey or coloured, written signs or photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selflabel.decode.image import Undecodable, is_grey, open_image, paper_share
from selflabel.decode.sound import RATE, rate_and_seconds
from selflabel.decode.video import size_and_seconds
from selflabel.items import Blob, Items

SAMPLE = 48  # items looked at, evenly spread over the set
GLYPH_PAPER = 0.4  # share of background above which a grey picture is a written sign


LONGEST_SOUND_S = 10.0  # what is longer is cut
SPOKEN_S = 1.5  # median length up to which sounds are taken for words, which are told by how they change


@dataclass(frozen=True)
class Look:
    """What the sample showed.

    kind: "glyph", "photo", "features", "video", "sound" or "spoken". short_px: the median short side. channels: 1 or 3.
    seconds: the length that nearly all keep to. rate: samples a second that hold what the sounds hold; of films, frames a second
    where a rate was asked for. frames: of a view of a film.
    """

    kind: str
    short_px: int = 0
    channels: int = 0
    seconds: float = 0.0
    rate: float = 0
    frames: int = 0


def look_at(items: Items, modality: str = "image") -> Look:
    """Decide from an even sample of the items, in milliseconds.

    Example:
        >>> from selflabel.items import open_items
        >>> look_at(open_items("digits"))
        Look(kind='glyph', short_px=8, channels=1, seconds=0.0, rate=0, frames=0)
    """
    if items.are_features:
        return Look("features")
    if modality == "video":
        return look_at_videos(items.blobs["video"])
    if modality == "audio":
        return look_at_sounds(items.blobs["audio"])
    shown = [p for p in (pixels_of(items, i) for i in spread(len(items), SAMPLE)) if p is not None]
    if not shown:
        shown = [p for p in (pixels_of(items, i) for i in spread(len(items), 20 * SAMPLE)) if p is not None]
    if not shown:
        return Look("photo", 32, 3)
    grey = np.mean([is_grey(p) for p in shown]) > 0.9
    glyph = grey and np.median([paper_share(p) for p in shown]) >= GLYPH_PAPER
    short = int(np.median([min(p.shape[:2]) for p in shown]))
    return Look("glyph" if glyph else "photo", short, 1 if grey else 3)


def look_at_videos(blobs: list[Blob | None]) -> Look:
    sample = [blobs[i] for i in spread(len(blobs), SAMPLE)]
    found = [f for f in (size_and_seconds(b) for b in sample if b is not None) if f is not None]
    if not found:
        return Look("video", 64, 3, 4.0)
    return Look("video", int(np.median([px for px, _ in found])), 3, float(np.median([s for _, s in found])))


def look_at_sounds(blobs: list[Blob | None]) -> Look:
    sample = [blobs[i] for i in spread(len(blobs), SAMPLE)]
    found = [f for f in (rate_and_seconds(b) for b in sample if b is not None) if f is not None]
    if not found:
        return Look("sound", 0, 1, 2.0, RATE)
    rate = min(RATE, int(np.median([rate for rate, _ in found])))
    lengths = [s for _, s in found]
    kind = "spoken" if np.median(lengths) <= SPOKEN_S else "sound"
    return Look(kind, 0, 1, min(LONGEST_SOUND_S, float(np.quantile(lengths, 0.95))), rate)


def spread(n: int, most: int) -> list[int]:
    return sorted(set(np.linspace(0, n - 1, min(n, most)).astype(int).tolist()))


def pixels_of(items: Items, i: int) -> np.ndarray | None:
    if items.array is not None:
        return np.asarray(items.array[i])
    blob = items.blobs["image"][i]
    try:
        return None if blob is None else np.asarray(open_image(blob.read()))
    except (Undecodable, OSError):
        return None
