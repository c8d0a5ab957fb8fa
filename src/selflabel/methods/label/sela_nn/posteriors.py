"""Posteriors of large sets: computed block by block, and by one head at a time.

All heads of a million items in a thousand classes would take 32 GB, and a head's posteriors cost little to compute again.

Axes: N items, B items of a block, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from selflabel.base.blocks import filled

BLOCK = 4096  # items whose posteriors are computed at a time


class OnDemand(Sequence[Tensor]):
    """The posteriors of some heads, each computed whenever it is asked for.

    Args:
        heads: their numbers.
        compute: gives the (N, K) posteriors of the head of a number.
    """

    def __init__(self, heads: range, compute: Callable[[int], Tensor]):
        self.heads, self.compute = heads, compute

    def __len__(self) -> int:
        return len(self.heads)

    def __getitem__(self, i: Any) -> Any:
        return OnDemand(self.heads[i], self.compute) if isinstance(i, slice) else self.compute(self.heads[i])


def in_blocks(compute: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Call compute(block, ...) of the rows of all tensors (N, ...), a block at a time: (N, ...).

    Example:
        >>> import torch
        >>> in_blocks(torch.add, torch.ones(3), torch.arange(3.0)).tolist()
        [1.0, 2.0, 3.0]
    """
    result = filled((compute(*block) for block in zip(*(x.split(BLOCK) for x in tensors))), len(tensors[0]))
    assert result is not None
    return result


def towards_labels(posteriors_BK: Tensor, labels_B: Tensor) -> Tensor:
    """(B, K) float16 mean of posteriors and of given labels as posteriors."""
    return ((posteriors_BK.float() + F.one_hot(labels_B, posteriors_BK.shape[1])) / 2).half()
