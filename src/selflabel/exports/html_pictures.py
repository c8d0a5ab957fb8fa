"""The small pictures of the html pages, written as files: those that the page of the run stored, others made from the source."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from selflabel.exports.context import ExportContext
from selflabel.runs.missing import Missing
from selflabel.runs.thumbs import WORKERS, thumbnail_reader

PNG_SIGNATURE = b"\x89PNG"


class PictureFiles:
    """Writes items' pictures into a folder and counts those that cannot be read.

    Args:
        context: the export.
        folder: where to; it must not be there.

    Attributes:
        n_written: pictures.
        n_missing: items without a picture.
        first_missing: why the first of them has none.
    """

    def __init__(self, context: ExportContext, folder: Path):
        self.folder, self.n_written, self.n_missing, self.first_missing = folder, 0, 0, ""
        self.read = thumbnail_reader(context.run.folder / "thumbs", context.source, len(context.labels))
        self.workers = ThreadPoolExecutor(WORKERS)
        folder.mkdir()

    def write(self, rows: np.ndarray) -> list[str]:
        """Write the pictures of some items. Returns their files' names, "" for an item that cannot be read."""
        pictures = self.workers.map(self.read_or_reason, rows.tolist())
        return [self.write_one(row, picture) for row, picture in zip(rows.tolist(), pictures)]

    def read_or_reason(self, row: int) -> bytes | Missing:
        try:
            return self.read(row)
        except Missing as reason:
            return reason

    def write_one(self, row: int, picture: bytes | Missing) -> str:
        if isinstance(picture, Missing):
            self.n_missing, self.first_missing = self.n_missing + 1, self.first_missing or str(picture)
            return ""
        ending = "png" if picture.startswith(PNG_SIGNATURE) else "jpg"
        name = f"{row:06d}.{ending}"
        (self.folder / name).write_bytes(picture)
        self.n_written += 1
        return name
