"""Tensors of many rows that are filled a block at a time: a list of all blocks would take as much memory again."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def filled(blocks: Iterable[Tensor], n: int) -> Tensor | None:
    """Blocks of rows, n in all, as one tensor (n, ...) that is filled as they come; None where there are none.

    Example:
        >>> import torch
        >>> filled((block + 1 for block in torch.arange(5).split(2)), 5).tolist()
        [1, 2, 3, 4, 5]
    """
    whole, start = None, 0
    for block in blocks:
        whole = block.new_empty(n, *block.shape[1:]) if whole is None else whole
        whole[start : start + len(block)] = block
        start += len(block)
    return whole
