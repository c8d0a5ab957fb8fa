"""Random numbers that belong to an item, not to a worker, a rank or an order.

A counter-based generator: the finaliser of SplitMix64 (Steele et al., 2014) over (key, item, counter). The same item
at the same step under the same seed draws the same numbers on any device, in any order, on any number of ranks.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def signed(value: int) -> int:
    """The int64 of these 64 bits, because torch has no unsigned arithmetic."""
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


def mix(value: int) -> int:
    """SplitMix64's finaliser on one Python int."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def key_of(*parts: int) -> int:
    """One 64-bit key from whole numbers such as (seed, epoch, use)."""
    key = 0
    for part in parts:
        key = mix((key + GOLDEN) ^ mix(part & MASK))
    return key


def shift_right(x: Tensor, bits: int) -> Tensor:
    """Logical shift of an int64 tensor."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def bits(key: int, rows: Tensor, count: int) -> Tensor:
    """(B, count) int64 of 64 random bits each, for each of the (B,) items."""
    counters = torch.arange(1, count + 1, device=rows.device, dtype=torch.int64) * signed(GOLDEN)
    items = (rows.to(torch.int64) + 1) * signed(0xD1342543DE82EF95)
    x = (items[:, None] ^ signed(key)) + counters
    x.bitwise_xor_(shift_right(x, 30)).mul_(signed(0xBF58476D1CE4E5B9))  # in place: this is a fifth of training on features
    x.bitwise_xor_(shift_right(x, 27)).mul_(signed(0x94D049BB133111EB))
    return x.bitwise_xor_(shift_right(x, 31))


def uniforms(key: int, rows: Tensor, count: int) -> Tensor:
    """`count` numbers in [0, 1) for each item.

    Args:
        key: from `key_of`.
        rows: (B,) int64 item rows.
        count: numbers an item.

    Returns:
        (B, count) float32 on the device of `rows`.

    Example:
        >>> import torch
        >>> a = uniforms(key_of(0, 1), torch.tensor([4, 2]), 3)
        >>> b = uniforms(key_of(0, 1), torch.tensor([2]), 3)
        >>> bool((a[1] == b[0]).all())
        True
    """
    return shift_right(bits(key, rows, count), 40).to(torch.float32) / (1 << 24)


def bernoulli(key: int, rows: Tensor, count: int, p: float) -> Tensor:
    """(B, count) bool, true with probability p. Four come from each 64-bit number, since items may have thousands of entries.

    Args:
        key, rows, count: as in `uniforms`.
        p: probability in [0, 1), to 1 in 65,536.

    Example:
        >>> round(float(bernoulli(key_of(0), torch.arange(100), 999, 0.9).float().mean()), 2)
        0.9
    """
    words = bits(key, rows, -(-count // 4)).view(torch.int16)
    return words[:, :count] < round(p * (1 << 16)) - (1 << 15)
