"""A run's pictures.parquet: the pictures in which a run of `find` looked for objects, also those in which it found none.

A line per picture: path, and width and height of the upright original in pixels. Row i of the run's heatmaps is that of line i.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from selflabel.base.rle import MAX_SIDE
from selflabel.runs.pieces import numbers
from selflabel.runs.reading import damaged, file_in, read_table
from selflabel.runs.tables import write_table

PICTURES = "pictures.parquet"


def write_pictures(folder: Path, paths: Sequence[str], sizes: np.ndarray) -> None:
    """Write pictures.parquet. sizes: (N, 2) width and height of each upright original."""
    import pyarrow as pa

    widths, heights = np.asarray(sizes, np.int64).T
    write_table(folder / PICTURES, {"path": pa.array(paths, pa.string()), "width": widths, "height": heights})


def read_pictures(folder: Path) -> dict[str, tuple[int, int]] | None:
    """Path to (width, height), in the order of the lines; None where the run has no such table, as those of version 0.6.0.

    Raises:
        UserError: it cannot be read, or has sizes that no picture has.
    """
    file = file_in(folder, PICTURES)
    if not file.exists():
        return None
    table = read_table(file, ["path", "width", "height"])
    sizes, paths = numbers(file, table, ("width", "height")), table["path"].to_pylist()
    if not ((sizes >= 1) & (sizes <= MAX_SIDE)).all() or None in paths:
        raise damaged(file, "has pictures of sizes that none has")
    return {path: (int(w), int(h)) for path, (w, h) in zip(paths, sizes.tolist())}
