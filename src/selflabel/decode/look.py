"""A look at the data before anything is decided: how large, grey or coloured, written signs or photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selflabel.decode.image import Undecodable, is_grey, open_image, paper_share
from selflabel.items import Items

SAMPLE = 48  # items looked at, evenly spread over the set
GLYPH_PAPER = 0.4  # share of background above which a grey picture is a written sign


@dataclass(frozen=True)
class Look:
    """What the sample showed: `kind` is "glyph", "photo" or "features"; `short_px` the median short side; `channels` 1 or 3."""

    kind: str
    short_px: int = 0
    channels: int = 0


def look_at(items: Items) -> Look:
    """Decide from an even sample of the items, in milliseconds.

    Example:
        >>> from selflabel.items import open_items
        >>> look_at(open_items("digits"))
        Look(kind='glyph', short_px=8, channels=1)
    """
    if items.are_features:
        return Look("features")
    shown = [p for p in (pixels_of(items, i) for i in spread(len(items), SAMPLE)) if p is not None]
    if not shown:
        shown = [p for p in (pixels_of(items, i) for i in spread(len(items), 20 * SAMPLE)) if p is not None]
    if not shown:
        return Look("photo", 32, 3)
    grey = np.mean([is_grey(p) for p in shown]) > 0.9
    glyph = grey and np.median([paper_share(p) for p in shown]) >= GLYPH_PAPER
    short = int(np.median([min(p.shape[:2]) for p in shown]))
    return Look("glyph" if glyph else "photo", short, 1 if grey else 3)


def spread(n: int, most: int) -> list[int]:
    return sorted(set(np.linspace(0, n - 1, min(n, most)).astype(int).tolist()))


def pixels_of(items: Items, i: int) -> np.ndarray | None:
    if items.array is not None:
        return np.asarray(items.array[i])
    assert items.blobs is not None
    try:
        return np.asarray(open_image(items.blobs[i].read()))
    except (Undecodable, OSError):
        return None
