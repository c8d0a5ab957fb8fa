"""RotNet (Gidaris, Singh & Komodakis, ICLR 2018): the network predicts by how many quarter turns an image was rotated."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import Gather, SinglePretext, no_gather


def quarter_turns(x: Tensor) -> tuple[Tensor, Tensor]:
    """All four rotations of every image.

    Args:
        x: (B, C, h, h) square images.

    Returns:
        ((4B, C, h, h) rotated images, (4B,) their quarter turns, 0 to 3).

    Raises:
        UserError: the items are no square images.
    """
    if x.ndim < 4 or x.shape[-2] != x.shape[-1]:
        shape = " x ".join(map(str, x.shape[1:]))
        raise UserError(f"--set pretext=rotation: rotates square images, and items are {shape} here; use simclr or moco.")
    rotated = torch.cat([x.rot90(q, (-2, -1)) for q in range(4)])
    return rotated, torch.arange(4, device=x.device).repeat_interleave(len(x))


class Rotation(SinglePretext):
    """See the module's docstring."""

    views_per_item = 1

    def __init__(self, encoder: nn.Module, n_items: int, temperature: float):
        super().__init__()
        self.projector = nn.Linear(int(encoder.dim), 4)  # type: ignore[arg-type]

    def loss(self, encoder: nn.Module, views: list[Tensor], gather: Gather = no_gather) -> Tensor:
        rotated, quarters = quarter_turns(views[0])
        return F.cross_entropy(self.projector(encoder(rotated)).float(), quarters)
