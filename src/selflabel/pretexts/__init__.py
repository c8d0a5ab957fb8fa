"""WHAT AN ENCODER LEARNS BEFORE THERE ARE LABELS: one paper per file. PRETEXTS is the only list of them.

Methods take a pretext as a part; none of them is a method.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from selflabel.contract import Pretext
from selflabel.pretexts.moco import MoCo
from selflabel.pretexts.rotation import Rotation
from selflabel.pretexts.simclr import SimCLR

PretextName = Literal["simclr", "moco", "rotation"]
PRETEXTS: dict[str, type[SimCLR] | type[MoCo] | type[Rotation]] = {"simclr": SimCLR, "moco": MoCo, "rotation": Rotation}

__all__ = ["PRETEXTS", "MoCo", "PretextName", "Rotation", "SimCLR", "make_pretext"]


def make_pretext(name: PretextName, encoder: nn.Module, n_items: int, temperature: float = 0.2) -> Pretext:
    """A pretext by its name.

    Args:
        name: one of PRETEXTS.
        encoder: the one that will learn; its `dim` is the length of its features.
        n_items: items of the set.
        temperature: of the contrastive losses.
    """
    return PRETEXTS[name](encoder, n_items, temperature)
