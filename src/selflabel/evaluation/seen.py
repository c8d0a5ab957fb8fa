"""What a run has seen, in brief: by it an unseen item is found to be unlike everything in the run.

A network gives any item a label, and is often sure of it. So a sample of the run's items is kept in each feature space, with the
distance within which nearly all items of the run have near ones in the sample. docs/decisions/outliers.md has the numbers.

Axes: N items, M items of the sample, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE = 4000  # items of the run, spread evenly over it, of which every second is kept
NEAR = 5  # the near item of the sample whose distance counts
USUAL, MARGIN = 0.99, 0.1  # share of the run's items within the limit, and how much wider it is, of the way there from the median
FEWEST = 40  # items; fewer do not show what is usual
BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Seen:
    """A sample of a run's items in one feature space.

    Attributes:
        sample: (M, D) float16, rows of unit length.
        limit: distance to the NEAR-th of the sample, above 0, from which on an item is unlike all of them.
    """

    sample: Tensor
    limit: float

    @classmethod
    def fit(cls, features_ND: Tensor) -> Seen | None:
        """What a run with these features (N, D) has seen; None for too few items, or for items that are all the same.

        Example:
            >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([9.0, 0, 0])
            >>> Seen.fit(x).is_unlike(torch.tensor([[9.0, 0.1, 0], [-9.0, 0, 0]])).tolist()
            [False, True]
        """
        if len(features_ND) < FEWEST:
            return None
        x = F.normalize(features_ND[:: max(1, len(features_ND) // SAMPLE)].detach().float().cpu(), dim=1)
        sample = x[::2].half()
        logs = distances(x[1::2], sample, NEAR).clamp(min=1e-6).log()  # of items that are not in the sample, as unseen ones are
        middle, usual = torch.quantile(logs, torch.tensor([0.5, USUAL])).tolist()
        if middle < -13:
            return None
        return cls(sample, float(torch.tensor(usual + MARGIN * (usual - middle)).exp()))

    def is_unlike(self, features_ND: Tensor) -> Tensor:
        """(N,) bool, whether an item (N, D) is unlike everything in the sample."""
        return distances(F.normalize(features_ND.detach().float().cpu(), dim=1), self.sample, NEAR) > self.limit


def distances(x_ND: Tensor, sample_MD: Tensor, near: int) -> Tensor:
    """(N,) distance of each row to its near-th nearest row of the sample."""
    wide = sample_MD.float()
    parts = [torch.cdist(block, wide).topk(near, dim=1, largest=False).values[:, -1] for block in x_ND.split(BLOCK_ROWS)]
    return torch.cat(parts) if parts else torch.zeros(0)
