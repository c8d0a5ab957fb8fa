"""From values of any depth to 8 bits: one scale for a set, from a sample of its pictures.

Ordinary 8-bit pictures are not touched. Anything else (10 to 16 bits, floats, counts, masks of 0 and 1) is shown from black at
`low` to white at `high`, the 0.1 and 99.9 percentiles of the sample. Where the values fill 0..1, 0..255 or 0..65535, that range
is taken as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PERCENTILES = (0.1, 99.9)
VALUES_PER_PICTURE = 65_536  # of a picture are looked at, evenly spread
FEW_VALUES = 16  # a picture of fewer values has no extremes that could be left out
NATURAL_RANGES = (1.0, 255.0, 65_535.0)
FILLED = 1 / 3  # of a natural range is used by pictures that were made for it
COMMON_RATIO = 6.0  # pictures whose ranges differ by more have no common scale
CONTRAST = (
    0.6  # share of its largest value that the range of a picture is, unless it is flat: then its brightness is what it shows
)
MASK_TOP = 16  # 8-bit pictures without a larger value are masks or class numbers
DEPTHS = (1.0, 255.0, 1023.0, 4095.0, 16_383.0, 65_535.0)


@dataclass(frozen=True)
class Scale:
    """How values become 8 bits.

    Args:
        low, high: shown black and white.
        per_item: every picture is scaled by its own percentiles, because the set has no common scale.
        eight_bit: pictures of 8 bits are scaled, too: masks.
    """

    low: float
    high: float
    per_item: bool = False
    eight_bit: bool = False

    def as_record(self) -> dict[str, Any]:
        """What run.toml keeps of it."""
        flags = {name: True for name in ("per_item", "eight_bit") if getattr(self, name)}
        return {"low": self.low, "high": self.high, **flags}

    def describe(self) -> str:
        """What was assumed, in a sentence."""
        if self.per_item:
            return (
                f"the pictures are not plain 8-bit, and their ranges of values differ more than {COMMON_RATIO:g}-fold: each is "
                "scaled by itself, so that differences in brightness between pictures are lost."
            )
        if self.eight_bit:
            return (
                f"the pictures hold no value above {self.high:g}, as masks do: {self.low:g} is shown black, {self.high:g} white."
            )
        return f"the pictures are not plain 8-bit: of their values {self.low:g} is shown black, {self.high:g} white."


def scale_from_record(record: dict[str, Any]) -> Scale | None:
    """The scale that run.toml keeps; None where its pictures are plain 8-bit, or of a version that kept none."""
    if "low" not in record or "high" not in record:
        return None
    return Scale(float(record["low"]), float(record["high"]), bool(record.get("per_item")), bool(record.get("eight_bit")))


# ------------------------------------------------------------------------------------------------------------ finding a scale


def scale_of_sample(pictures: Sequence[np.ndarray]) -> Scale | None:
    """The scale of a set; None for plain 8-bit pictures.

    Args:
        pictures: a sample of the set, each (H, W) or (H, W, C) of any real type.
    """
    deep = [p for p in pictures if p.dtype != np.uint8]
    if not deep:
        top = max((int(p.max(initial=0)) for p in pictures), default=0)
        return Scale(0.0, float(top), eight_bit=True) if 0 < top <= MASK_TOP else None
    samples = [x for x in (sorted_values(p) for p in deep) if len(x)]
    if not samples:
        return None
    ranges = np.array([range_of_sorted(x) for x in samples])
    spans = ranges[:, 1] - ranges[:, 0]
    usual = float(np.median(spans[spans > 0])) if (spans > 0).any() else np.inf
    is_usual = (spans <= COMMON_RATIO * usual) & ~stand_apart(ranges.mean(axis=1), COMMON_RATIO * usual)
    pool = np.sort(np.concatenate([without_extremes(x) for x, use in zip(samples, is_usual) if use]))
    return Scale(*natural_range(*range_of_sorted(pool)), per_item=differ(ranges))


def stand_apart(middles: np.ndarray, distance: float) -> np.ndarray:
    """(n,) whether the middle of a picture's range is farther than `distance` from those of most: a white frame, say."""
    low, high = np.quantile(middles, [0.1, 0.9])
    return (middles < low - distance) | (middles > high + distance)


def differ(ranges: np.ndarray) -> bool:
    """Whether pictures of these ranges (n, 2) have no common scale; blank ones do not count.

    Of pictures that go from a black to a white of their own, but of very different whites, most would be black in a common scale.
    """
    ranges = ranges[ranges[:, 1] > ranges[:, 0]]
    if len(ranges) < 2:
        return False
    spans = ranges[:, 1] - ranges[:, 0]
    narrow, wide = np.quantile(spans, [0.1, 0.9])
    return bool(wide > COMMON_RATIO * narrow and np.median(spans / np.abs(ranges).max(axis=1)) > CONTRAST)


def sorted_values(picture: np.ndarray) -> np.ndarray:
    """Finite values of a picture, evenly spread over it, in order; float64."""
    flat = picture.reshape(-1)
    flat = flat[:: max(1, len(flat) // VALUES_PER_PICTURE)].astype(np.float64)
    return np.sort(flat[np.isfinite(flat)])


def without_extremes(values: np.ndarray) -> np.ndarray:
    """Sorted values without the smallest and the largest: a hot pixel in each picture would be many in a small one."""
    return values[1:-1] if len(values) >= FEW_VALUES else values


def range_of_sorted(values: np.ndarray) -> tuple[float, float]:
    """The percentiles of sorted values; all of them where nearly all are equal."""
    inner = without_extremes(values)
    low, high = np.percentile(inner, PERCENTILES)
    return (float(low), float(high)) if high > low else (float(values[0]), float(values[-1]))


def natural_range(low: float, high: float) -> tuple[float, float]:
    """0..1, 0..255 or 0..65535 where the values fill it, else their own range; never an empty one."""
    for top in NATURAL_RANGES:
        if low >= 0 and high <= top and high - low >= FILLED * top:
            return 0.0, top
    return (low, high) if high > low else (low, above(low))


def above(value: float) -> float:
    """A larger number, for pictures of one value."""
    return value + max(1.0, abs(value) / 1000)


def own_range(picture: np.ndarray) -> tuple[float, float]:
    """The percentiles of one picture."""
    values = sorted_values(picture)
    low, high = range_of_sorted(values) if len(values) else (0.0, 0.0)
    return (low, high) if high > low else (low, above(low))


def usual_range(picture: np.ndarray) -> tuple[float, float]:
    """What one picture, of a set without a scale, is most likely to be: of 1, 8, 10, 12, 14 or 16 bits, else its own range."""
    low, high = own_range(picture)
    return (0.0, next((d for d in DEPTHS if high <= d), high)) if low >= 0 and high <= DEPTHS[-1] else (low, high)


# ----------------------------------------------------------------------------------------------------------- applying a scale


def to_uint8(picture: np.ndarray, scale: Scale | None = None) -> np.ndarray:
    """A picture of any real type as uint8; NaN is black.

    Args:
        picture: (H, W) or (H, W, C), or several pictures where the scale is a common one.
        scale: of the set; None scales by what the picture seems to be.
    """
    if picture.dtype == np.uint8 and not (scale and scale.eight_bit):
        return picture
    if scale is None:
        return stretch(picture, *usual_range(picture))
    return stretch(picture, *(own_range(picture) if scale.per_item else (scale.low, scale.high)))


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as uint8: `low` and less become 0, `high` and more 255."""
    small = values.dtype.kind != "f" and values.dtype.itemsize <= 2
    x = values.astype(np.float32 if small or (values.dtype.itemsize <= 4 and values.dtype.kind == "f") else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        x = (x - low if low else x) * (255 / (high - low)) + 0.5
    return np.nan_to_num(np.clip(x, 0, 255), copy=False, nan=0).astype(np.uint8)


def array_to_uint8(array: np.ndarray, scale: Scale | None = None, block: int = 256) -> np.ndarray:
    """(N, H, W[, C]) images of any real type as uint8, some at a time; uint8 as they are unless they are masks."""
    if array.dtype == np.uint8 and not (scale and scale.eight_bit):
        return array
    out = np.empty(array.shape, np.uint8)
    step = block if scale and not scale.per_item else 1
    for start in range(0, len(array), step):
        part = np.asarray(array[start : start + step])
        out[start : start + step] = to_uint8(part, scale)
    return out
