"""clusters.png: a contact sheet, one row a cluster, its surest items from left to right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

ACROSS = 16  # items a row
MOST_ROWS = 60
TILE_PX = 48
LABEL_PX = 72
GAP = 2


def contact_sheet(
    labels: np.ndarray,
    confidence: np.ndarray,
    picture: Callable[[int], np.ndarray],
    across: int = ACROSS,
    names: dict[int, str] | None = None,
) -> Image.Image:
    """Draw the sheet.

    Args:
        labels: (N,) cluster of every item; -1 for one that is left out.
        confidence: (N,) in [0, 1].
        picture: row -> (H, W) or (H, W, 3) uint8.
        across: items shown a cluster.
        names: of clusters that have one; others are shown by their number.

    Returns:
        An RGB picture; the 60 largest clusters where there are more.
    """
    clusters, sizes = np.unique(labels[labels >= 0], return_counts=True)
    shown = clusters if len(clusters) <= MOST_ROWS else np.sort(clusters[np.argsort(-sizes)[:MOST_ROWS]])
    step = TILE_PX + GAP
    sheet = Image.new("RGB", (LABEL_PX + across * step, len(shown) * step + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for y, cluster in enumerate(shown.tolist()):
        members = np.flatnonzero(labels == cluster)
        surest = members[np.argsort(-confidence[members], kind="stable")][:across]
        top = GAP + y * step
        draw.text((4, top + 8), fitting(draw, (names or {}).get(cluster, str(cluster))), fill="black")
        draw.text((4, top + 24), f"n = {len(members)}", fill=(110, 110, 110))
        for x, row in enumerate(surest):
            tile = Image.fromarray(picture(int(row))).convert("RGB").resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR)
            sheet.paste(tile, (LABEL_PX + x * step, top))
    return sheet


def fitting(draw: ImageDraw.ImageDraw, name: str) -> str:
    """As much of a name as there is room for; signs that Pillow's own font lacks become question marks where it is old."""
    wide = LABEL_PX - 6
    try:
        if draw.textlength(name) <= wide:
            return name
        return next(cut for n in range(len(name), -1, -1) if draw.textlength(cut := name[:n] + "...") <= wide)
    except UnicodeEncodeError:
        return fitting(draw, name.encode("latin-1", "replace").decode("latin-1"))
