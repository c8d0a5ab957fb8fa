"""Sums over all items, also where the items are spread over the ranks of a torch.distributed group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class DualTerms:
    """What the dual and its gradient need of the scores, at some potentials v.

    Attributes:
        mass: (K,) float64, each label's share of the mass when every item gives its unit away; sums to 1.
        lse: mean over the items of logsumexp_k((s_ik + v_k) / epsilon).
    """

    mass: np.ndarray
    lse: float


@dataclass(frozen=True)
class Reducer:
    """Reductions over the ranks of a torch.distributed group; without a group, over this process only.

    Attributes:
        group: the group, or None.
    """

    group: Any = None

    def sum(self, *numbers: Any) -> np.ndarray:
        """All numbers and vectors in one float64 vector, summed over the ranks."""
        local = np.concatenate([np.atleast_1d(np.asarray(x, np.float64)) for x in numbers])
        if self.group is None:
            return local
        import torch.distributed as dist

        tensor = self.to_tensor(local)
        dist.all_reduce(tensor, group=self.group)
        return tensor.cpu().numpy()

    def mean_terms(self, sums: Tensor, log_sum: float, items: int) -> DualTerms:
        """Means over all items of all ranks, from this rank's sums.

        Args:
            sums: (K,) sum over this rank's items of their soft labels.
            log_sum: sum over this rank's items of logsumexp((s + v) / epsilon).
            items: how many items this rank has.
        """
        total = self.sum(sums.numpy(), log_sum, items)
        return DualTerms(total[:-2] / total[-1], float(total[-2] / total[-1]))

    def max(self, numbers: np.ndarray) -> np.ndarray:
        """(n,) the highest value of each number over the ranks."""
        if self.group is None:
            return numbers
        import torch.distributed as dist

        tensor = self.to_tensor(numbers)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX, group=self.group)
        return tensor.cpu().numpy()

    def to_tensor(self, numbers: np.ndarray) -> Tensor:
        """On the device that the group's backend communicates from."""
        import torch.distributed as dist

        return torch.from_numpy(numbers).to("cuda" if dist.get_backend(self.group) == "nccl" else "cpu")
