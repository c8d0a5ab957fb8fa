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
MAX_GROUPS = 7  # of a number
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
        """(R,) lengths of the runs, zeros first.

        Raises:
            ValueError: they do not fill the mask exactly, or it has more than MAX_PIXELS.
        """
        n_pixels = self.height * self.width
        readable = n_pixels <= MAX_PIXELS and len(self.counts) <= MAX_GROUPS * (n_pixels + 2)
        runs = read_counts(self.counts) if readable else np.zeros(0, np.int64)
        if not readable or not _are_lengths(runs) or runs.sum() != n_pixels:
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
    return Rle(height, width, write_counts(np.diff(edges, prepend=0)))


def encode_inside(inside_hw: np.ndarray, x0: int, y0: int, shape: tuple[int, int]) -> Rle:
    """The run lengths of a mask that is empty outside a box; the rest of a large picture costs nothing.

    Args:
        inside_hw: the mask in the box.
        x0, y0: the box's corner in the picture.
        shape: (height, width) of the picture.

    Example:
        >>> encode_inside(np.array([[1, 0]]), 1, 1, (2, 3)).decode().astype(int).tolist()
        [[0, 0, 0], [0, 1, 0]]
    """
    height, width = shape
    column_wise = np.pad(np.asarray(inside_hw, np.int8), ((1, 1), (0, 0))).T
    columns, rows = np.nonzero(np.diff(column_wise, axis=1))  # by turns where a run begins and where it has ended
    edges = (columns + x0) * height + rows + y0
    joins = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1  # at the bottom of a column and the top of the next one
    edges = np.union1d(np.delete(edges, np.concatenate([joins, joins + 1])), [height * width])
    return Rle(height, width, write_counts(np.diff(edges, prepend=0)))


def write_counts(runs: Sequence[int] | np.ndarray) -> bytes:
    """Run lengths, compressed."""
    values = np.array(runs, np.int64)
    values[3:] -= np.array(runs, np.int64)[1:-2]
    shifts = np.arange(0, 5 * MAX_GROUPS, 5)
    rest = values[:, None] >> shifts + 4  # what follows a group and its sign: all zeros or all ones behind the last group
    n_groups = 1 + ((rest != 0) & (rest != -1)).sum(axis=1)
    groups = (values[:, None] >> shifts) & 0x1F
    place = np.arange(MAX_GROUPS)
    groups |= np.where(place < n_groups[:, None] - 1, MORE, 0)
    return (FIRST_CHARACTER + groups)[place < n_groups[:, None]].astype(np.uint8).tobytes()


def read_counts(counts: bytes) -> np.ndarray:
    """(R,) int64, the run lengths that `write_counts` compressed.

    Raises:
        ValueError: they are cut off, or hold other characters.
    """
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - FIRST_CHARACTER
    if not len(groups):
        return groups
    is_last = groups & MORE == 0
    if groups.min() < 0 or groups.max() >= 2 * MORE:
        raise ValueError("its run lengths are damaged")
    if not is_last[-1]:
        raise ValueError("its run lengths are cut off")
    ends = np.flatnonzero(is_last)
    starts = np.append(0, ends[:-1] + 1)
    if (ends - starts).max() >= MAX_GROUPS:
        raise ValueError("its run lengths are damaged")
    shifts = 5 * (np.arange(len(groups)) - np.repeat(starts, ends - starts + 1))
    values = np.add.reduceat((groups & 0x1F) << shifts, starts)
    values -= np.where(groups[ends] & SIGN != 0, 1 << shifts[ends] + 5, 0)
    values[1::2] = np.cumsum(values[1::2])  # from the fourth on a run is the difference to the one two before it
    values[2::2] = np.cumsum(values[2::2])
    return values


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
    runs = read_counts(counts) if isinstance(counts, bytes) else np.array([int(run) for run in counts], object)
    if not _are_lengths(runs):
        raise ValueError("its run lengths are damaged")
    runs = runs.astype(np.int64)
    mask = Rle(height, width, write_counts(runs))
    _ = mask.runs  # raises where they do not fill it
    return mask


def _are_lengths(runs: np.ndarray) -> bool:
    """Whether each is between 0 and MAX_PIXELS; their sum then stays far below what an int64 holds."""
    return not len(runs) or (runs.min() >= 0 and runs.max() <= MAX_PIXELS)
