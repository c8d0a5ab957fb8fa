"""clusters.png: a contact sheet, one row for each cluster, its most confident items from left to right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

ACROSS = 16  # items in a row
MAX_ROWS = 60
TILE_PX = 48
LABEL_PX = 72
GAP_PX = 2
STEP_PX = TILE_PX + GAP_PX
GREY = (200, 200, 200)

Picture = Callable[[int], np.ndarray]


def contact_sheet(
    labels: np.ndarray,
    confidence: np.ndarray,
    picture: Picture,
    across: int = ACROSS,
    names: dict[int, str] | None = None,
) -> Image.Image:
    """Draw the sheet.

    Args:
        labels: (N,) cluster of every item; -1 for a rejected one.
        confidence: (N,) in [0, 1].
        picture: row -> (H, W) or (H, W, 3) uint8; where it raises an exception, the tile is grey.
        across: items in a row.
        names: of clusters that have one; others are shown by their number.

    Returns:
        An RGB picture; only the 60 largest clusters where there are more.
    """
    clusters, sizes = np.unique(labels[labels >= 0], return_counts=True)
    subset = clusters if len(clusters) <= MAX_ROWS else np.sort(clusters[np.argsort(-sizes)[:MAX_ROWS]])
    size = (LABEL_PX + across * STEP_PX, len(subset) * STEP_PX + GAP_PX)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for y, cluster in enumerate(subset.tolist()):
        members = np.flatnonzero(labels == cluster)
        top = GAP_PX + y * STEP_PX
        draw.text((4, top + 8), fit_text(draw, (names or {}).get(cluster, str(cluster))), fill="black")
        draw.text((4, top + 24), f"n = {len(members)}", fill=(110, 110, 110))
        paste_row(sheet, top, members[np.argsort(-confidence[members], kind="stable")][:across], picture)
    return sheet


def paste_row(sheet: Image.Image, top: int, rows: np.ndarray, picture: Picture) -> None:
    for x, row in enumerate(rows):
        sheet.paste(make_tile(picture, int(row)), (LABEL_PX + x * STEP_PX, top))


def make_tile(picture: Picture, row: int) -> Image.Image:
    """An item's tile; a grey one where its file is gone or is broken now, which may raise anything."""
    try:
        return Image.fromarray(picture(row)).convert("RGB").resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR)
    except Exception:
        return Image.new("RGB", (TILE_PX, TILE_PX), GREY)


def fit_text(draw: ImageDraw.ImageDraw, name: str) -> str:
    """As much of a name as there is room for; an old Pillow's own font shows characters that it lacks as question marks."""
    width = LABEL_PX - 6
    try:
        if draw.textlength(name) <= width:
            return name
        return next(cut for n in range(len(name), -1, -1) if draw.textlength(cut := name[:n] + "...") <= width)
    except UnicodeEncodeError:
        return fit_text(draw, name.encode("latin-1", "replace").decode("latin-1"))
