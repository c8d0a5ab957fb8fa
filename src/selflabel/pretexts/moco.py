"""MoCo (He, Fan, Wu, Xie & Girshick, CVPR 2020): a view finds its item's other view among those of earlier batches.

The other view is encoded by a momentum copy of the network, and earlier ones wait in a queue (section 3.1). The copy is in eval
mode, so that batch statistics do not leak the positive pair (as Cai et al., 2021).
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.contract import Gather, SinglePretext, no_gather
from selflabel.heads import Projector, momentum_update

HIDDEN, PROJECTED = 256, 128  # widths of the projector
QUEUE, MOMENTUM = 4096, 0.99


def info_nce(queries_BD: Tensor, keys_BD: Tensor, queue_QD: Tensor, temperature: float) -> Tensor:
    """InfoNCE: a query finds its key among the keys of the queue (He et al., 2020, equation 1).

    Args:
        queries_BD, keys_BD: (B, D) projections of two views of each item, at unit length.
        queue_QD: (Q, D) keys of earlier items, at unit length.
        temperature: divides the similarities.
    """
    positive = (queries_BD * keys_BD).sum(dim=1, keepdim=True)
    scores = torch.cat([positive, queries_BD @ queue_QD.T], dim=1) / temperature
    return F.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))


class MoCo(SinglePretext):
    """See the module's docstring."""

    queue_QD: Tensor

    def __init__(self, encoder: nn.Module, n_items: int, temperature: float):
        super().__init__()
        self.temperature = temperature
        self.projector = Projector(int(encoder.dim), HIDDEN, PROJECTED)  # type: ignore[arg-type]
        self.slow = nn.Sequential(copy.deepcopy(encoder), copy.deepcopy(self.projector)).requires_grad_(False)
        length = min(QUEUE, max(2, n_items // 4))  # short enough that it seldom holds the same item's key of an epoch ago
        self.register_buffer("queue_QD", F.normalize(torch.randn(length, PROJECTED), dim=1))
        self.keys: Tensor | None = None  # of the current step

    def loss(self, encoder: nn.Module, views: list[Tensor], gather: Gather = no_gather) -> Tensor:
        with torch.no_grad():
            keys = F.normalize(self.slow(views[1]).float(), dim=1)
            self.keys = gather(keys)
        queries = F.normalize(self.projector(encoder(views[0])).float(), dim=1)
        return info_nce(queries, keys, self.queue_QD, self.temperature)

    def after_step(self, encoder: nn.Module) -> None:
        """Move the copy, and replace the oldest keys of the queue by those of this step."""
        if self.keys is None:
            return
        momentum_update(self.slow[0], encoder, MOMENTUM)
        momentum_update(self.slow[1], self.projector, MOMENTUM)
        self.queue_QD.copy_(torch.cat([self.keys, self.queue_QD])[: len(self.queue_QD)])
        self.keys = None
