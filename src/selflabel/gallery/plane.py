"""The map as it is looked at: what a window of the plane shows, and what lies within a line drawn around it.

Up to 50,000 items a window are sent as points. Where there are more, a sample of them is, with a picture of the density of all.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from selflabel.gallery.projection import MAP

MOST_POINTS = 50_000
CELLS = 256  # of the density, a side
LASSO_PX = 1024  # a lasso is judged on a grid this fine
Window = tuple[float, float, float, float]  # left, top, right, bottom


class Plane:
    """A run's map: asked for once, worked out in a process of its own, then at hand."""

    def __init__(self, folder: Path, rows: int):
        self.folder, self.rows, self.lock = folder, rows, threading.Lock()
        self.places: np.ndarray | None = None
        self.worker: subprocess.Popen | None = None
        self.trouble = ""

    def ready(self) -> bool:
        """Whether the map is at hand; the first call sets the work going."""
        with self.lock:
            if self.places is not None:
                return True
            if self.worker is not None and self.worker.poll() is None:
                return False
            self.places = read_map(self.folder / MAP, self.rows)
            if self.places is not None:
                return True
            if self.worker is not None:
                said = self.worker.stderr.read().decode(errors="replace").strip() if self.worker.stderr else ""
                self.trouble = said.splitlines()[-1] if said else "the map could not be worked out"
                return False
            command = [sys.executable, "-m", "selflabel.gallery.projection", str(self.folder)]
            self.worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            return False

    def close(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait()


def read_map(file: Path, rows: int) -> np.ndarray | None:
    """(N, 2) float32; None where there is none, or one of other items."""
    try:
        places = np.load(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return places if places.shape == (rows, 2) else None


def seen(places: np.ndarray, labels: np.ndarray, window: Window) -> bytes:
    """What a window shows.

    Returns:
        Little-endian: uint32 items in the window, uint32 points n, uint32 cells a side (0 without a density); then n of float32
        x, n of float32 y, n of int32 row, n of int32 label, in the order of their labels; then cells ** 2 of uint8 density and
        as many of int32, the label of one of the items in each cell.
    """
    left, top, right, bottom = window
    x, y = places[:, 0], places[:, 1]
    inside = np.flatnonzero((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).astype(np.int32)
    crowded = len(inside) > MOST_POINTS
    rows = inside[spread(len(inside), MOST_POINTS)]
    rows = rows[np.argsort(labels[rows], kind="stable")]
    head = np.array([len(inside), len(rows), CELLS if crowded else 0], "<u4").tobytes()
    points = [places[rows, 0], places[rows, 1], rows, labels[rows].astype(np.int32)]
    cells = density(places, labels, inside, window) if crowded else []
    return head + b"".join(np.ascontiguousarray(part).tobytes() for part in [*points, *cells])


def spread(n: int, most: int) -> np.ndarray:
    """At most `most` of n places, evenly apart: the same ones for the same window."""
    return np.arange(n) if n <= most else (np.arange(most) * (n / most)).astype(np.int64)


def density(places: np.ndarray, labels: np.ndarray, rows: np.ndarray, window: Window) -> list[np.ndarray]:
    """Items a cell of the window as 0..255 by the logarithm, and the label of one of them."""
    left, top, right, bottom = window
    scale = np.array([CELLS / max(right - left, 1e-9), CELLS / max(bottom - top, 1e-9)], np.float32)
    at = ((places[rows] - np.array([left, top], np.float32)) * scale).astype(np.int32).clip(0, CELLS - 1)
    cell = at[:, 1] * CELLS + at[:, 0]
    counts = np.bincount(cell, minlength=CELLS * CELLS)
    light = np.log1p(counts) / max(np.log1p(counts.max()), 1e-9) * 255
    one_of = np.full(CELLS * CELLS, -1, np.int32)
    one_of[cell] = labels[rows]
    return [light.astype(np.uint8), one_of]


def within(places: np.ndarray, line: list[tuple[float, float]]) -> np.ndarray:
    """Rows of the items within a closed line, judged on a fine grid over its bounds."""
    corners = np.array(line, np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = np.maximum(high - low, 1e-9)
    mask = Image.new("1", (LASSO_PX, LASSO_PX))
    ImageDraw.Draw(mask).polygon([tuple(c) for c in (corners - low) / side * (LASSO_PX - 1)], fill=1)
    near = np.flatnonzero(((places >= low) & (places <= high)).all(axis=1))
    at = ((places[near] - low) / side * (LASSO_PX - 1) + 0.5).astype(int).clip(0, LASSO_PX - 1)
    return near[np.asarray(mask)[at[:, 1], at[:, 0]]].astype(np.int32)
