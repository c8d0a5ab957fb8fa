"""What a run has seen, in brief: by it an unseen item is found to be unlike everything in the run.

A network gives any item a label, and is often sure of it. So a sample of the run's items is kept in each feature space, with the
distance within which nearly all items of the run have near ones in the sample. docs/decisions/outliers.md has the numbers.

Axes: N items, M items of the sample, D features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from selflabel.base.sampling import drawn_rows

SAMPLE = 4000  # items of the run, of which half are kept
NEAR = 5  # the near item of the sample whose distance counts
USUAL, MARGIN = 0.99, 0.1  # share of the run's items within the limit, and how much wider it is, of the way there from the median
FEWEST = 40  # items; fewer do not show what is usual
OTHER_SCALE = 3  # factor below the shortest and above the longest row of the sample, beyond which features are of another scale
BLOCK_ROWS = 1024
TINY = 1e-6


@dataclass(frozen=True)
class Seen:
    """A sample of a run's items in one feature space.

    Attributes:
        sample: (M, D) float16, rows of unit length.
        limit: distance to the NEAR-th of the sample, above 0, from which on an item is unlike all of them.
        shortest, longest: lengths of rows beyond which an item is unlike them, too, as features of another scale are.
        median: median distance to the NEAR-th of the sample; None for a run of 0.7.0 or older, which did not store it.
    """

    sample: Tensor
    limit: float
    shortest: float = 0.0
    longest: float = math.inf
    median: float | None = None

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
        drawn = np.random.default_rng(0).permutation(drawn_rows(len(features_ND), SAMPLE))  # halves, too, are drawn at random
        rows = features_ND[drawn].detach().float().cpu()
        x, lengths = F.normalize(rows, dim=1), rows.norm(dim=1)
        sample, others = x[::2].half(), x[1::2]
        logs = distances(others, sample, NEAR).clamp(min=1e-6).log()  # of items that are not in the sample, as unseen ones are
        middle, usual = torch.quantile(logs, torch.tensor([0.5, USUAL])).tolist()
        if middle < -13:
            return None
        limit = float(torch.tensor(usual + MARGIN * (usual - middle)).exp())
        return cls(sample, limit, float(lengths.min()) / OTHER_SCALE, float(lengths.max()) * OTHER_SCALE, math.exp(middle))

    def is_unlike(self, features_ND: Tensor) -> Tensor:
        """(N,) bool, whether an item (N, D) is unlike everything in the sample."""
        return self.distances_of(features_ND) > self.limit

    def distances_of(self, features_ND: Tensor) -> Tensor:
        """(N,) distance of each item (N, D) to the NEAR-th nearest of the sample; inf for features of another scale."""
        x = features_ND.detach().float().cpu()
        lengths = x.norm(dim=1)
        is_of_scale = (lengths >= self.shortest) & (lengths <= self.longest)
        return torch.where(is_of_scale, distances(F.normalize(x, dim=1), self.sample, NEAR), torch.inf)

    def log_tail(self, features_ND: Tensor) -> Tensor:
        """(N,) float64 logarithm of the share of the run's items that are at least as far from the sample as each item is.

        Logarithms of distances are taken as normal, with the run's median and 99th percentile, so that it is known beyond them.
        """
        assert self.median is not None
        middle, usual = math.log(self.median), NormalDist().inv_cdf(USUAL)
        spread = max((math.log(self.limit) - middle) / (1 + MARGIN) / usual, TINY)
        logs = self.distances_of(features_ND).double().clamp(TINY, 1 / TINY).log()
        return torch.special.log_ndtr((middle - logs) / spread)


def distances(x_ND: Tensor, sample_MD: Tensor, near: int) -> Tensor:
    """(N,) distance of each row to its near-th nearest row of the sample."""
    wide = sample_MD.float()
    parts = [torch.cdist(block, wide).topk(near, dim=1, largest=False).values[:, -1] for block in x_ND.split(BLOCK_ROWS)]
    return torch.cat(parts) if parts else torch.zeros(0)
