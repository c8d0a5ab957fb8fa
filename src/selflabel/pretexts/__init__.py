"""WHAT ENCODERS LEARN BEFORE THERE ARE LABELS: one paper per file. PRETEXTS and JOINT_PRETEXTS are the only lists of them.

Methods take a pretext as a part; none of them is a method. Joint ones teach the encoders of two modalities at once.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from selflabel.contract import Pretext, SinglePretext, Task
from selflabel.pretexts.dpc import DPC
from selflabel.pretexts.milnce import MILNCE
from selflabel.pretexts.moco import MoCo
from selflabel.pretexts.rotation import Rotation
from selflabel.pretexts.simclr import SimCLR

PretextName = Literal["simclr", "moco", "rotation", "dpc"]
AnyPretextName = Literal["simclr", "moco", "rotation", "dpc", "milnce"]
PRETEXTS: dict[str, type[SinglePretext]] = {"simclr": SimCLR, "moco": MoCo, "rotation": Rotation, "dpc": DPC}
JOINT_PRETEXTS: dict[str, type[MILNCE]] = {"milnce": MILNCE}

__all__ = [
    "DPC",
    "JOINT_PRETEXTS",
    "MILNCE",
    "PRETEXTS",
    "AnyPretextName",
    "MoCo",
    "PretextName",
    "Rotation",
    "SimCLR",
    "make_pretext",
]


def make_pretext(name: str, encoders: nn.ModuleDict, task: Task, temperature: float = 0.2) -> Pretext:
    """A pretext by its name.

    Args:
        name: one of PRETEXTS or JOINT_PRETEXTS.
        encoders: modality to encoder, of the method.
        task: of the method.
        temperature: of the contrastive losses of SimCLR and MoCo.

    Raises:
        UserError: it does not suit the items.
    """
    if name in JOINT_PRETEXTS:
        return JOINT_PRETEXTS[name](encoders, task)
    make: type = PRETEXTS[name]
    return make(encoders[task.modality], task.n_items, temperature)
