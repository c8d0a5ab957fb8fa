"""Which region of a photo every pixel is of, as a picture of bounded size, from which the page draws the class map."""

from __future__ import annotations

import numpy as np
from PIL import Image

from selflabel.gallery.mask_picture import scaled_size
from selflabel.gallery.parts import readable_box
from selflabel.items import Pieces
from selflabel.runs.missing import Missing

MOST_REGIONS = 2000  # of a photo; each takes milliseconds


def region_picture(pieces: Pieces, rows: np.ndarray) -> Image.Image:
    """RGB, red + 256 green + 65536 blue is the place of a pixel's region in `rows`, counted from 1; 0 is no region.

    Args:
        pieces: of the run.
        rows: of the regions of one photo; those whose mask is damaged are left out.

    Raises:
        Missing: they are too many, or of no photo.
    """
    size = tuple(pieces.sizes[rows[0]].tolist())
    if len(rows) > MOST_REGIONS or not all(size):
        raise Missing(f"its photo has {len(rows):,} regions, too many to be drawn" if all(size) else "it is no region of a photo")
    width, height = scaled_size(*size)
    columns, lines = ((np.arange(n) * 2 + 1) * whole // (2 * n) for n, whole in zip((width, height), size))
    places = np.zeros((height, width), np.int64)
    for place, row in enumerate(rows.tolist(), 1):
        piece = pieces[row]
        if piece is None or piece.mask is None or piece.size != size:
            continue
        try:
            x0, y0, x1, y1 = readable_box(piece.mask)
        except Missing:
            continue
        (left, right), (top, bottom) = np.searchsorted(columns, [x0, x1]), np.searchsorted(lines, [y0, y1])
        at = columns[None, left:right].astype(np.int64) * piece.mask.height + lines[top:bottom, None]  # column by column
        inside = np.searchsorted(np.cumsum(piece.mask.runs), at, side="right") % 2 == 1
        places[top:bottom, left:right][inside] = place
    return Image.fromarray(np.stack([places & 255, places >> 8 & 255, places >> 16], axis=2).astype(np.uint8), "RGB")
