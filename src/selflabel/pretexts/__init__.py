"""PRETEXTS: what an encoder may learn before there are labels. Parts for methods, none of them a method.

simclr    each view of an item finds its other view among all views of the batch (Chen et al., 2020)
moco      a view finds its item's other view, as a slowly moving copy of the network saw it, among those of earlier batches
          (He et al., 2020). The copy is in eval mode, so batch statistics tell it nothing (as Cai et al., 2021)
rotation  the network says by how many quarter turns a view was turned (Gidaris et al., 2018)
"""

from __future__ import annotations

import copy
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import Every, Phase, Recipe, alone, one_cycle
from selflabel.heads import Projector

Name = Literal["simclr", "moco", "rotation"]
HIDDEN, PROJECTED = 256, 128
PRETEXT, BATCH, LR = "pretext", 256, 2e-3
QUEUE, MOMENTUM = 4096, 0.99


def nt_xent(z_2nD: Tensor, temperature: float) -> Tensor:
    """NT-Xent over two views of n items, first all first views, at unit length (Chen et al., 2020, equation 1)."""
    n = len(z_2nD) // 2
    similarity = z_2nD @ z_2nD.T / temperature
    similarity.fill_diagonal_(-math.inf)
    return F.cross_entropy(similarity, torch.arange(2 * n, device=z_2nD.device).roll(n))


def info_nce(queries_BD: Tensor, keys_BD: Tensor, queue_QD: Tensor, temperature: float) -> Tensor:
    """A query finds its key among the keys of the queue; all at unit length (He et al., 2020, equation 1)."""
    right = (queries_BD * keys_BD).sum(dim=1, keepdim=True)
    scores = torch.cat([right, queries_BD @ queue_QD.T], dim=1) / temperature
    return F.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))


def quarter_turned(x: Tensor) -> tuple[Tensor, Tensor]:
    """(4B, ...) every picture turned by 0 to 3 quarters, and the quarters (4B,).

    Raises:
        UserError: they are no square pictures.
    """
    if x.ndim < 4 or x.shape[-2] != x.shape[-1]:
        shape = " x ".join(map(str, x.shape[1:]))
        raise UserError(f"--set pretext=rotation: turns square pictures, and items are {shape} here; take simclr or moco.")
    turned = torch.cat([x.rot90(q, (-2, -1)) for q in range(4)])
    return turned, torch.arange(4, device=x.device).repeat_interleave(len(x))


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move a slow copy towards its original: parameters a little, batch statistics, which are slow already, all the way."""
    for a, b in zip(slow.parameters(), fast.parameters()):
        a.lerp_(b, 1 - momentum)
    for kept, new in zip(slow.buffers(), fast.buffers()):
        kept.copy_(new)


def pretext_views(name: Name, preset: str) -> tuple[str, ...]:
    """The presets of the views that a pretext's loss takes."""
    return (preset,) if name == "rotation" else (preset, preset)


def pretext_phase(name: Name, modality: str, preset: str, epochs: int, n_items: int, lr_scale: float = 1.0) -> Phase:
    """The stretch of training in which a method's encoder and its member `pretext` learn."""
    views, recipe = {modality: pretext_views(name, preset)}, Recipe(LR * lr_scale, one_cycle, "adamw", 1e-4)
    batch = min(BATCH, max(16, n_items // 8))
    return Phase(PRETEXT, epochs, views, recipe, batch, learns=("encoders", "pretext.projector"))


class Pretext(nn.Module):
    """One pretext on one encoder; a method that runs it calls it `pretext`, and has a `pretext_phase`."""

    queue_QD: Tensor

    def __init__(self, name: Name, encoder: nn.Module, temperature: float, n_items: int):
        super().__init__()
        self.name, self.temperature = name, temperature
        dim = int(encoder.dim)  # type: ignore[arg-type]
        self.projector: nn.Module = Projector(dim, HIDDEN, PROJECTED) if name != "rotation" else nn.Linear(dim, 4)
        if name == "moco":
            self.slow = nn.Sequential(copy.deepcopy(encoder), copy.deepcopy(self.projector)).requires_grad_(False)
            length = min(QUEUE, max(2, n_items // 4))  # seldom long enough to hold the item that is sought, from an epoch ago
            self.register_buffer("queue_QD", F.normalize(torch.randn(length, PROJECTED), dim=1))
        self.keys: Tensor | None = None  # of the step that is under way

    def loss(self, encoder: nn.Module, views: list[Tensor], every: Every = alone) -> Tensor:
        """The mean over the batch's items; every: as in `methods.base.Batch`."""
        if self.name == "rotation":
            turned, quarters = quarter_turned(views[0])
            return F.cross_entropy(self.projector(encoder(turned)).float(), quarters)
        if self.name == "simclr":
            z = F.normalize(self.projector(encoder(torch.cat(views))).float(), dim=1)
            return nt_xent(every(z, stacked=2), self.temperature)
        with torch.no_grad():
            keys = F.normalize(self.slow(views[1]).float(), dim=1)
            self.keys = every(keys)
        queries = F.normalize(self.projector(encoder(views[0])).float(), dim=1)
        return info_nce(queries, keys, self.queue_QD, self.temperature)

    def after_step(self, encoder: nn.Module) -> None:
        """Move the copy, and put the step's keys into the queue in place of the oldest."""
        if self.keys is None:
            return
        follow(self.slow[0], encoder, MOMENTUM)
        follow(self.slow[1], self.projector, MOMENTUM)
        self.queue_QD.copy_(torch.cat([self.keys, self.queue_QD])[: len(self.queue_QD)])
        self.keys = None
