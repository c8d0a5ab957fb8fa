"""Masks as COCO's compressed run lengths: a few hundred bytes where the pixels would be a megabyte.

A mask is read column by column, and the lengths of its runs are counted, zeros first. From the fourth on a run is stored as the
difference to the one two before it, in groups of five bits from the lowest on, a character from "0" to "o" each (COCO API,
maskApi.c, `rleToString`). Counts from a stranger are checked: their runs must fill the mask exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_SIDE = 1 << 20  # pixels
MAX_PIXELS = 1 << 28
FIRST_CHARACTER, MORE, SIGN = 48, 0x20, 0x10  # of a group of five bits: its offset, more groups follow, the number is negative


@dataclass(frozen=True, slots=True)
class Rle:
    """A mask.

    Args:
        height, width: in pixels.
        counts: COCO's compressed run lengths.
    """

    height: int
    width: int
    counts: bytes

    @property
    def runs(self) -> np.ndarray:
        """(R,) lengths of the runs, zeros first. Raises ValueError where they do not fill the mask exactly."""
        runs = np.array(read_counts(self.counts), np.int64)
        if runs.min(initial=0) < 0 or runs.sum() != self.height * self.width:
            raise ValueError(f"its run lengths do not fill {self.width} x {self.height} pixels")
        return runs

    @property
    def area(self) -> int:
        """Pixels inside."""
        return int(self.runs[1::2].sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) in pixels, the last ones outside; zeros for an empty mask."""
        runs = self.runs
        ends = np.cumsum(runs)
        first, last = (ends - runs)[1::2], ends[1::2] - 1
        first, last = first[runs[1::2] > 0], last[runs[1::2] > 0]
        if not len(first):
            return 0, 0, 0, 0
        x0, x1 = int(first[0]) // self.height, int(last[-1]) // self.height
        if (first // self.height < last // self.height).any():  # a run that goes on in the next column touches both edges
            return x0, 0, x1 + 1, self.height
        return x0, int((first % self.height).min()), x1 + 1, int((last % self.height).max()) + 1

    def decode(self) -> np.ndarray:
        """(height, width) bool."""
        runs = self.runs
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(self.width, self.height).T


def encode(mask_HW: np.ndarray) -> Rle:
    """The run lengths of a mask (H, W).

    Example:
        >>> rle = encode(np.array([[0, 1], [1, 1]]))
        >>> rle.counts, rle.area, rle.box
        (b'13', 3, (0, 0, 2, 2))
    """
    height, width = mask_HW.shape
    column_wise = np.asarray(mask_HW, bool).T.reshape(-1)
    edges = np.flatnonzero(np.diff(column_wise, prepend=False, append=not column_wise[-1]) if len(column_wise) else [])
    return Rle(height, width, write_counts(np.diff(edges, prepend=0).tolist()))


def write_counts(runs: Sequence[int]) -> bytes:
    """Run lengths, compressed."""
    out = bytearray()
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            bits, value = value & 0x1F, value >> 5
            is_last = value == (-1 if bits & SIGN else 0)
            out.append(FIRST_CHARACTER + (bits if is_last else bits | MORE))
            if is_last:
                break
    return bytes(out)


def read_counts(counts: bytes) -> list[int]:
    """The run lengths that `write_counts` compressed.

    Raises:
        ValueError: they are cut off, or hold other characters.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        group = character - FIRST_CHARACTER
        if not 0 <= group < 64 or shift > 30:
            raise ValueError("its run lengths are damaged")
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & MORE:
            value -= (1 << shift) if group & SIGN else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("its run lengths are cut off")
    return runs


def checked_rle(height: int, width: int, counts: bytes | str | Sequence[int]) -> Rle:
    """A mask from what a stranger wrote: counts compressed, or as plain run lengths.

    Raises:
        ValueError: the sides are none, or the runs do not fill them exactly.

    Example:
        >>> checked_rle(2, 2, [1, 3]).counts
        b'13'
    """
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError(f"a mask of {width} x {height} pixels is none")
    if isinstance(counts, str):
        counts = counts.encode("latin-1", "replace")
    runs = read_counts(counts) if isinstance(counts, bytes) else [int(run) for run in counts]
    if max(runs, default=0) > MAX_PIXELS:
        raise ValueError("its run lengths are damaged")
    mask = Rle(height, width, write_counts(runs))
    _ = mask.runs  # raises where they do not fill it
    return mask
