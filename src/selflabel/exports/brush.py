"""Masks as Label Studio's brush stores them: run lengths of the picture's bytes (red, green, blue, opacity), row by row, as bits.

32 bits: how many bytes the picture has; 5: bits of a value, less 1; four times 4: bits of a run's length, less 1, in four sizes.
Then of every run: a 1, which size its length has (2 bits), its length less 1, its value. It is thi.ng's rle-pack, in which runs
of different values, which masks do not have, would begin with a 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from selflabel.base.rle import Rle

VALUE_BITS = 8
LENGTH_BITS = (3, 4, 8, 16)
CHANNELS = 4


def brush_rle(mask: Rle) -> list[int]:
    """A mask as the bytes of a brush's `rle`."""
    pixels = mask.decode().reshape(-1)
    edges = np.flatnonzero(np.diff(pixels)) + 1
    lengths = CHANNELS * np.diff(edges, prepend=0, append=len(pixels))
    values = 255 * pixels[np.concatenate([[0], edges])].astype(int)
    sizes = "".join(f"{bits - 1:04b}" for bits in LENGTH_BITS)
    head = f"{CHANNELS * len(pixels):032b}{VALUE_BITS - 1:05b}{sizes}"
    text = head + "".join(run_bits(length, value) for length, value in zip(lengths.tolist(), values.tolist()))
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def run_bits(length: int, value: int) -> str:
    """The bits of a run; of one that is longer than 65,536 those of several."""
    return "".join(part_bits(part, value) for part in parts_of(length))


def parts_of(length: int) -> Iterator[int]:
    """A length as a sum of lengths that 16 bits hold."""
    longest = 1 << LENGTH_BITS[-1]
    yield from [longest] * (length // longest)
    if length % longest:
        yield length % longest


def part_bits(length: int, value: int) -> str:
    size = next(i for i, bits in enumerate(LENGTH_BITS) if length <= 1 << bits)
    return f"1{size:02b}{length - 1:0{LENGTH_BITS[size]}b}{value:0{VALUE_BITS}b}"
