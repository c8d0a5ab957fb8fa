"""What a loss gets: the views of a batch.

Axes: B groups of a batch, G items of a group (a pair, a clique).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from selflabel.views import View


class Gather(Protocol):
    """See `Batch.gather`."""

    def __call__(self, local: Tensor, *, stacked: int = 1) -> Tensor: ...


def no_gather(local: Tensor, *, stacked: int = 1) -> Tensor:
    """`Batch.gather` of a single process, which has all rows."""
    return local


@dataclass
class Batch:
    """What a loss is computed from.

    Attributes:
        rows_BG: (B, G) int64 row numbers of the items.
        views: modality to its views, one for each preset of `Phase.views`; their pixels are (B * G, ...), group after group.
        progress: share of the phase that is done, 0 to 1.
        present: modality to (B * G,) bool, whether the item has it; left out for a modality that all items have. See also
            `Phase.together`.
        gather: (rows of this rank, `stacked` such blocks one after the other) to the rows of all ranks. Use it where a loss is no
            mean over rows, such as one with the entropy of the mean label, and for what goes into a queue.
    """

    rows_BG: Tensor
    views: dict[str, list[View]]
    progress: float
    present: dict[str, Tensor] = field(default_factory=dict)
    gather: Gather = no_gather
