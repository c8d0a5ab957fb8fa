"""WHAT AN ENCODER LEARNS BEFORE THERE ARE LABELS: one paper per file. PRETEXTS is the only list of them.

Methods take a pretext as a part; none of them is a method.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from selflabel.contract import Pretext, SinglePretext, Task
from selflabel.pretexts.dpc import DPC
from selflabel.pretexts.moco import MoCo
from selflabel.pretexts.rotation import Rotation
from selflabel.pretexts.simclr import SimCLR

PretextName = Literal["simclr", "moco", "rotation", "dpc"]
PRETEXTS: dict[str, type[SinglePretext]] = {"simclr": SimCLR, "moco": MoCo, "rotation": Rotation, "dpc": DPC}

__all__ = ["DPC", "PRETEXTS", "MoCo", "PretextName", "Rotation", "SimCLR", "make_pretext"]


def make_pretext(name: str, encoders: nn.ModuleDict, task: Task, temperature: float = 0.2) -> Pretext:
    """A pretext by its name.

    Args:
        name: one of PRETEXTS.
        encoders: modality to encoder, of the method.
        task: of the method.
        temperature: of the contrastive losses.

    Raises:
        UserError: it does not suit the items.
    """
    make: type = PRETEXTS[name]
    return make(encoders[task.modality], task.n_items, temperature)
