"""ONE PAPER PER FILE. METHODS is the only list of them."""

from __future__ import annotations

from dataclasses import dataclass

from selflabel.errors import UserError
from selflabel.methods.base import Method
from selflabel.methods.deepcluster import DeepCluster
from selflabel.methods.iic import IIC
from selflabel.methods.scan import SCAN
from selflabel.methods.sela import SeLa
from selflabel.methods.sela_nn import SeLaNN
from selflabel.methods.selavi import SeLaVi
from selflabel.methods.swav import SwAV
from selflabel.methods.temi import TEMI
from selflabel.methods.turtle import Turtle
from selflabel.methods.xdc import XDC


@dataclass(frozen=True)
class Entry:
    """What `selflabel methods` prints, and the class."""

    make: type[Method]
    paper: str
    cost: str


METHODS: dict[str, Entry] = {
    "sela-nn": Entry(
        SeLaNN,
        "this project's default: SeLa with neighbours, exchange of stuck heads, relaxed masses",
        "a label turn an epoch",
    ),
    "sela": Entry(SeLa, "Asano, Rupprecht & Vedaldi, ICLR 2020", "hundreds of epochs as published; 30 by default"),
    "selavi": Entry(SeLaVi, "Asano, Patrick, Rupprecht & Vedaldi, NeurIPS 2020", "200 epochs as published; 40 by default"),
    "xdc": Entry(XDC, "Alwassel et al., NeurIPS 2020; of one modality it is deep clustering", "40 epochs, 20 rounds of k-means"),
    "deepcluster": Entry(
        DeepCluster,
        "Caron et al., ECCV 2018; version=2 is DeepCluster-v2",
        "200 epochs as published; 40 by default",
    ),
    "iic": Entry(IIC, "Ji, Henriques & Vedaldi, ICCV 2019", "2,000 epochs as published; 200,000 items shown by default"),
    "scan": Entry(SCAN, "Van Gansbeke et al., ECCV 2020", "three phases: 500, 50 and 200 epochs as published"),
    "swav": Entry(SwAV, "Caron et al., NeurIPS 2020", "400 epochs as published; 120,000 items shown by default"),
    "temi": Entry(TEMI, "Adaloglou et al., BMVC 2023: heads on fixed features", "seconds; on pictures a pretext first"),
    "turtle": Entry(
        Turtle, "Gadetsky, Jiang & Brbic, ICML 2024: heads on fixed features", "seconds; on pictures a pretext first"
    ),
}


def find_method(name: str) -> Entry:
    """Raises UserError where there is none of that name."""
    if name not in METHODS:
        raise UserError(f"--method {name}: there is none of that name; there are {', '.join(METHODS)}.")
    return METHODS[name]
