"""The map as the page looks at it: the items in a window of the plane, and the items within a line drawn around them.

A window of up to 50,000 items is sent as points. A fuller one is sent as a sample of points and an image of the density of all.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageDraw

from selflabel.base.errors import UserError
from selflabel.gallery.editable_run import LabelState
from selflabel.gallery.projection import MAP_FILE
from selflabel.runs.reading import file_in, read_array

MAX_POINTS = 50_000
CELLS = 256  # along one side of the density image
MAX_PLACES = 400  # clusters whose names are placed
PLACE_CELLS = 12  # along one side of the grid on which the place is looked for
PLACE_ITEMS = 1000  # most typical items of a cluster, at whose middle its name stands
LASSO_CELLS = 1024  # along one side of the grid on which a lasso is tested
Window = tuple[float, float, float, float]  # left, top, right, bottom, in the unit square of the map


class MapLayout:
    """The positions of a run's items: computed once per run, in a process of its own, and read from map.npy from then on.

    Args:
        folder: of the run.
        n_items: in it; a file with another number of rows is not used.

    Attributes:
        positions: (N, 2) float32, or None until they are ready.
        error: why they could not be computed, or "".
        share: of the computation that is done, 0 to 1.
        step: what it is doing, or "".
    """

    def __init__(self, folder: Path, n_items: int):
        self.folder, self.n_items, self.lock = folder, n_items, threading.Lock()
        self.positions: np.ndarray | None = None
        self.worker: subprocess.Popen | None = None
        self.messages: IO[bytes] | None = None  # what the process writes to its stderr
        self.error = self.step = ""
        self.share = 0.0

    def progress(self) -> dict[str, Any]:
        """The `share` that is done and the current `step`; nothing before the first."""
        return {"share": self.share, "step": self.step} if self.step else {}

    def ready(self) -> bool:
        """Whether the positions are there; the first call that finds none starts the computation."""
        with self.lock:
            if self.positions is not None:
                return True
            if self.worker is not None and self.worker.poll() is None:
                return False
            self.positions = read_positions(self.folder / MAP_FILE, self.n_items)
            if self.positions is not None:
                return True
            if self.worker is None:
                self.start()
            else:
                self.error = last_line(self.messages) or "the map could not be worked out"
            return False

    def start(self) -> None:
        """Start the computation in a process of its own."""
        command = [sys.executable, "-m", "selflabel.gallery.projection", str(self.folder)]
        self.messages = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads would fill up and stop the process
        self.worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.messages)
        self.follower = threading.Thread(target=self.follow, args=[self.worker.stdout], daemon=True)
        self.follower.start()

    def follow(self, lines: IO[bytes]) -> None:
        """Note each step that the process reports."""
        with lines:
            for line in lines:
                share, _, step = line.decode(errors="replace").strip().partition(" ")
                if step:
                    self.share, self.step = float(share), step

    def close(self) -> None:
        """End a computation that is still running."""
        if self.worker is not None and self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait()


def last_line(file: IO[bytes] | None) -> str:
    """The last line that was written to a file, or ""."""
    if file is None:
        return ""
    file.seek(0)
    text = file.read().decode(errors="replace").strip()
    return text.splitlines()[-1] if text else ""


def cluster_places(positions: np.ndarray, now: LabelState) -> list[dict[str, Any]]:
    """Where the names of clusters stand on the map: where most of their most typical items are, the largest cluster first.

    Args:
        positions: (N, 2) float32.
        now: the labels.

    Returns:
        Records of `id`, `x` and `y`, at most 400.
    """
    largest = np.argsort(-now.sizes, kind="stable")[:MAX_PLACES]
    places = [(int(c), densest_place(positions[now.members(int(c))[:PLACE_ITEMS]])) for c in largest if now.sizes[c]]
    return [{"id": c, "x": round(float(x), 5), "y": round(float(y), 5)} for c, (x, y) in places]


def densest_place(points: np.ndarray) -> np.ndarray:
    """(2,) the median of the points around the fullest cell of a grid: a cluster in two groups is named at one, not between.

    Example:
        >>> densest_place(np.array([[0.1, 0.1], [0.12, 0.1], [0.11, 0.1], [0.9, 0.9]])).tolist()
        [0.11, 0.1]
    """
    cells = np.floor(points * PLACE_CELLS).astype(int)
    numbers, counts = np.unique(cells, axis=0, return_counts=True)
    middle = (numbers[counts.argmax()] + 0.5) / PLACE_CELLS
    near = np.abs(points - middle).max(axis=1) <= 1 / PLACE_CELLS
    return np.median(points[near], axis=0)


def read_positions(file: Path, n_items: int) -> np.ndarray | None:
    """(N, 2) float32; None where the file is absent, broken or of another number of items."""
    try:
        return np.array(read_array(file_in(file.parent, file.name), n_items)).reshape(n_items, 2)
    except (UserError, ValueError):
        return None


def encode_window(positions: np.ndarray, labels: np.ndarray, window: Window) -> bytes:
    """The items in a window, as bytes for the browser.

    Args:
        positions: (N, 2) float32.
        labels: (N,) int, below 0 for an item in no cluster.
        window: left, top, right, bottom.

    Returns:
        Little-endian: uint32 number of items in the window, uint32 number of points n, uint32 cells per side (0 without a
        density); then n float32 x, n float32 y, n int32 rows, n int32 labels, sorted by label; then cells ** 2 uint8 densities
        and cells ** 2 int32 labels, each of one item in that cell.
    """
    left, top, right, bottom = window
    x, y = positions[:, 0], positions[:, 1]
    inside = np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).astype(np.int32)
    is_crowded = len(inside) > MAX_POINTS
    rows = inside[evenly_spaced(len(inside), MAX_POINTS)]
    rows = rows[np.argsort(labels[rows], kind="stable")]
    header = np.array([len(inside), len(rows), CELLS if is_crowded else 0], "<u4").tobytes()
    points = [positions[rows, 0], positions[rows, 1], rows, labels[rows].astype(np.int32)]
    cells = density(positions, labels, inside, window) if is_crowded else []
    return header + b"".join(np.ascontiguousarray(part).tobytes() for part in [*points, *cells])


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """At most `most` indices below n at even distances; the same ones whenever a window is shown again."""
    return np.arange(n) if n <= most else (np.arange(most) * (n / most)).astype(np.int64)


def density(positions: np.ndarray, labels: np.ndarray, rows: np.ndarray, window: Window) -> list[np.ndarray]:
    """Of each cell, uint8 log count scaled to 0..255, and int32 label of one of its items, -1 for none; (CELLS ** 2,) each."""
    left, top, right, bottom = window
    scale = np.array([CELLS / max(right - left, 1e-9), CELLS / max(bottom - top, 1e-9)], np.float32)
    column_row = ((positions[rows] - np.array([left, top], np.float32)) * scale).astype(np.int32).clip(0, CELLS - 1)
    cell = column_row[:, 1] * CELLS + column_row[:, 0]
    counts = np.bincount(cell, minlength=CELLS * CELLS)
    brightness = np.log1p(counts) / max(np.log1p(counts.max()), 1e-9) * 255
    cell_labels = np.full(CELLS * CELLS, -1, np.int32)
    cell_labels[cell] = labels[rows]
    return [brightness.astype(np.uint8), cell_labels]


def rows_in_polygon(positions: np.ndarray, polygon: list[tuple[float, float]]) -> np.ndarray:
    """Rows of the items inside a polygon.

    Args:
        positions: (N, 2) float32.
        polygon: three or more corners (x, y); tested on a grid of 1024 by 1024 cells over its bounding box.

    Returns:
        (n,) int32, in increasing order.
    """
    corners = np.array(polygon, np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = np.maximum(high - low, 1e-9)
    mask = Image.new("1", (LASSO_CELLS, LASSO_CELLS))
    ImageDraw.Draw(mask).polygon([tuple(c) for c in (corners - low) / side * (LASSO_CELLS - 1)], fill=1)
    in_box = np.flatnonzero(((positions >= low) & (positions <= high)).all(axis=1))
    column_row = ((positions[in_box] - low) / side * (LASSO_CELLS - 1) + 0.5).astype(int).clip(0, LASSO_CELLS - 1)
    return in_box[np.asarray(mask)[column_row[:, 1], column_row[:, 0]]].astype(np.int32)
