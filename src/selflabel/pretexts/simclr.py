"""SimCLR (Chen, Kornblith, Norouzi & Hinton, ICML 2020): a view finds the other view of its item among all views of a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.contract import Gather, SinglePretext, no_gather
from selflabel.heads import Projector

HIDDEN, PROJECTED = 256, 128  # widths of the projector


def nt_xent(z_2nD: Tensor, temperature: float) -> Tensor:
    """NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al., 2020, equation 1).

    Args:
        z_2nD: (2n, D) projections at unit length: the first views of n items, then their second views.
        temperature: divides the similarities.
    """
    n = len(z_2nD) // 2
    similarity = z_2nD @ z_2nD.T / temperature
    similarity.fill_diagonal_(-math.inf)
    return F.cross_entropy(similarity, torch.arange(2 * n, device=z_2nD.device).roll(n))


class SimCLR(SinglePretext):
    """See the module's docstring."""

    def __init__(self, encoder: nn.Module, n_items: int, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.projector = Projector(int(encoder.dim), HIDDEN, PROJECTED)  # type: ignore[arg-type]

    def loss(self, encoder: nn.Module, views: list[Tensor], gather: Gather = no_gather) -> Tensor:
        z = F.normalize(self.projector(encoder(torch.cat(views))).float(), dim=1)
        return nt_xent(gather(z, stacked=2), self.temperature)
