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
    labels: np.ndarray, confidence: np.ndarray, picture: Callable[[int], np.ndarray], across: int = ACROSS
) -> Image.Image:
    """Draw the sheet.

    Args:
        labels: (N,) cluster of every item.
        confidence: (N,) in [0, 1].
        picture: row -> (H, W) or (H, W, 3) uint8.
        across: items shown a cluster.

    Returns:
        An RGB picture; the 60 largest clusters where there are more.
    """
    names, sizes = np.unique(labels, return_counts=True)
    shown = names if len(names) <= MOST_ROWS else np.sort(names[np.argsort(-sizes)[:MOST_ROWS]])
    step = TILE_PX + GAP
    sheet = Image.new("RGB", (LABEL_PX + across * step, len(shown) * step + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for y, name in enumerate(shown):
        members = np.flatnonzero(labels == name)
        surest = members[np.argsort(-confidence[members], kind="stable")][:across]
        top = GAP + y * step
        draw.text((4, top + 8), f"{name}", fill="black")
        draw.text((4, top + 24), f"n = {len(members)}", fill=(110, 110, 110))
        for x, row in enumerate(surest):
            tile = Image.fromarray(picture(int(row))).convert("RGB").resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR)
            sheet.paste(tile, (LABEL_PX + x * step, top))
    return sheet
