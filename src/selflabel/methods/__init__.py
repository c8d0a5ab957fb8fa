"""ONE PAPER PER FILE. METHODS lists them. BASELINES, which train nothing, FINDERS, which localise in one picture at a time,
LOCALISERS, which learn where what sounds is, and DETECTORS and SEGMENTERS, which learn a run's regions, stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selflabel.base.errors import UserError, did_you_mean
from selflabel.contract import Finder, Method, RegionLearner
from selflabel.methods.detect.fcn import FCNSegmenter
from selflabel.methods.detect.fcos import FCOSDetector
from selflabel.methods.find.avcontrast import AVContrast
from selflabel.methods.find.avol import AVOL
from selflabel.methods.find.cut import Cut
from selflabel.methods.find.dmc import DMC
from selflabel.methods.find.dsol import DSOL
from selflabel.methods.find.found import FOUND
from selflabel.methods.find.maskcontrast import MaskContrast
from selflabel.methods.find.ssod import SSOD
from selflabel.methods.label import baselines
from selflabel.methods.label.cliquecnn import CliqueCNN
from selflabel.methods.label.deepcluster import DeepCluster
from selflabel.methods.label.iic import IIC
from selflabel.methods.label.scan import SCAN
from selflabel.methods.label.sela import SeLa
from selflabel.methods.label.sela_nn import SeLaNN
from selflabel.methods.label.selavi import SeLaVi
from selflabel.methods.label.soundlabels import SoundLabels
from selflabel.methods.label.swav import SwAV
from selflabel.methods.label.temi import TEMI
from selflabel.methods.label.turtle import Turtle
from selflabel.methods.label.xdc import XDC


@dataclass(frozen=True)
class Entry:
    """A line of `selflabel methods`.

    Attributes:
        make: the class.
        paper: authors, venue and year, or what it is.
        cost: how long it takes.
    """

    make: type[Method]
    paper: str
    cost: str


@dataclass(frozen=True)
class FinderEntry:
    """A line of `selflabel methods` on a finder; attributes as of `Entry`."""

    make: type[Finder]
    paper: str
    cost: str


@dataclass(frozen=True)
class LearnerEntry:
    """A line of `selflabel methods` on a detector or segmenter; attributes as of `Entry`."""

    make: type[RegionLearner]
    paper: str
    cost: str


METHODS: dict[str, Entry] = {
    "sela-nn": Entry(
        SeLaNN,
        "this project's default: SeLa with neighbours, exchange of stuck heads, relaxed masses",
        "a label turn in each epoch",
    ),
    "sela": Entry(SeLa, "Asano, Rupprecht & Vedaldi, ICLR 2020", "hundreds of epochs as published; 30 by default"),
    "selavi": Entry(SeLaVi, "Asano, Patrick, Rupprecht & Vedaldi, NeurIPS 2020", "200 epochs as published; 40 by default"),
    "xdc": Entry(
        XDC, "Alwassel et al., NeurIPS 2020; with one modality it is deep clustering", "40 epochs, 20 rounds of k-means"
    ),
    "soundlabels": Entry(
        SoundLabels, "Owens et al., ECCV 2016: pictures learn the labels of their sounds", "30,000 items shown by default"
    ),
    "deepcluster": Entry(
        DeepCluster,
        "Caron et al., ECCV 2018; version=2 is DeepCluster-v2",
        "200 epochs as published; 40 by default",
    ),
    "cliquecnn": Entry(CliqueCNN, "Bautista et al., NIPS 2016", "150,000 items shown, five rounds of building cliques"),
    "iic": Entry(IIC, "Ji, Henriques & Vedaldi, ICCV 2019", "2,000 epochs as published; 200,000 items shown by default"),
    "scan": Entry(SCAN, "Van Gansbeke et al., ECCV 2020", "three phases: 500, 50 and 200 epochs as published"),
    "swav": Entry(SwAV, "Caron et al., NeurIPS 2020", "400 epochs as published; 120,000 items shown by default"),
    "temi": Entry(TEMI, "Adaloglou et al., BMVC 2023: heads on fixed features", "seconds; on pictures a pretext first"),
    "turtle": Entry(
        Turtle, "Gadetsky, Jiang & Brbic, ICML 2024: heads on fixed features", "seconds; on pictures a pretext first"
    ),
}


BASELINES: dict[str, Entry] = {
    "kmeans": Entry(baselines.KMeans, "k-means (Lloyd), the best of five starts", "seconds; nothing is trained"),
    "spherical-kmeans": Entry(baselines.SphericalKMeans, "by cosine (Dhillon & Modha, 2001)", "seconds; nothing is trained"),
    "gaussian-mixture": Entry(baselines.GaussianMixture, "Gaussians with diagonal covariances", "seconds; nothing is trained"),
    "umap-kmeans": Entry(baselines.UmapKMeans, "McInnes et al., 2018, then k-means", "a minute for 10,000 items"),
    "umap-hdbscan": Entry(baselines.UmapHdbscan, "McInnes et al., 2018, then Campello et al., 2013", "a minute for 10,000 items"),
    "hdbscan": Entry(baselines.Hdbscan, "density clusters (Campello et al., 2013)", "all pairs: seconds for 5,000 items"),
    "agglomerative": Entry(
        baselines.Agglomerative, "average linkage or Ward's (`linkage=ward`)", "all pairs: seconds for 5,000 items"
    ),
    "spectral": Entry(
        baselines.Spectral, "Ng, Jordan & Weiss, 2002, on the neighbour graph; rounded by QR", "seconds; nothing is trained"
    ),
}


FINDERS: dict[str, FinderEntry] = {
    "cut": FinderEntry(
        Cut,
        "Wang et al., CVPR 2022 (TokenCut) and 2023 (MaskCut): boxes and masks of objects",
        "a few photos a second; no training",
    ),
    "found": FinderEntry(
        FOUND,
        "Simeoni et al., CVPR 2023: background first, then one linear layer that the folder teaches",
        "seconds to learn, then nearly as fast as the encoder",
    ),
    "maskcontrast": FinderEntry(
        MaskContrast,
        "Van Gansbeke et al., ICCV 2021: masks of another finder, described by embeddings that tell them apart",
        "seconds to learn, then as its masks",
    ),
}


LOCALISERS: dict[str, Entry] = {
    "avol": Entry(AVOL, "Arandjelovic & Zisserman, ECCV 2018 (AVOL-Net): where what sounds is", "160,000 pairs shown by default"),
    "avcontrast": Entry(
        AVContrast, "Mo & Morgado, ECCV 2022 (EZ-VSL): the same by contrast of best places", "160,000 pairs shown by default"
    ),
    "dmc": Entry(DMC, "Hu, Nie & Li, CVPR 2019: the same by clusters of places and of sounds", "160,000 pairs shown by default"),
    "dsol": Entry(
        DSOL, "Hu et al., NeurIPS 2020: where each class is that sounds, learned from --solos", "140,000 items shown by default"
    ),
    "ssod": Entry(
        SSOD,
        "Afouras, Asano et al., CVPR 2022: what sounds, with classes; `teach` then trains a detector",
        "160,000 pairs shown by default",
    ),
    "soundlabels": METHODS["soundlabels"],  # both: it labels items, and its class activation maps say where
}


DETECTORS: dict[str, LearnerEntry] = {
    "fcos": LearnerEntry(
        FCOSDetector,
        "Tian et al., ICCV 2019, by torchvision, on the fixed encoder of the run that it learns from: boxes",
        "1,500 photos shown, minutes",
    ),
}


SEGMENTERS: dict[str, LearnerEntry] = {
    "fcn": LearnerEntry(
        FCNSegmenter,
        "Long, Shelhamer & Darrell, CVPR 2015, by torchvision, on the fixed encoder of the run: masks",
        "8 passes over a thousand photos, minutes",
    ),
}


TEACHABLE = DETECTORS | SEGMENTERS


def make_finder(name: str, options: Any) -> Finder:
    """A finder with its options, and the other one whose masks it takes, where it takes such."""
    finder = FINDERS[name].make(options)
    if isinstance(finder, MaskContrast):
        other = FINDERS[options.masks].make
        finder.finder = other(other.options_type())
    return finder


def option_names(name: str) -> tuple[str, ...]:
    """The names of the options of a method, finder, detector or segmenter. Raises UserError where there is no such method."""
    others: dict[str, Any] = FINDERS | TEACHABLE
    make: Any = others[name].make if name in others else entry_of(name).make
    return tuple(make.options_type.__dataclass_fields__)


def entry_of(name: str) -> Entry:
    """The method, baseline or localiser of that name. Raises UserError where there is none."""
    return LOCALISERS[name] if name in LOCALISERS else find_method(name)


def find_method(name: str) -> Entry:
    """The method or baseline of that name.

    Raises:
        UserError: there is none of that name.
    """
    entries = METHODS | BASELINES
    if name not in entries and name in FINDERS | LOCALISERS:
        raise UserError(f"--method {name}: finds objects in photos, and labels nothing; use it with `selflabel find`.")
    if name not in entries:
        known = ", ".join(entries)
        raise UserError(f"--method {name}: there is none of that name; there are {known}{did_you_mean(name, entries)}")
    return entries[name]


def find_finder(name: str) -> FinderEntry | Entry:
    """The finder or localiser of that name.

    Raises:
        UserError: there is none of that name.
    """
    entries = FINDERS | LOCALISERS
    if name not in entries and name in METHODS | BASELINES:
        raise UserError(f"--method {name}: labels items, and finds no objects; use it with `selflabel label`.")
    if name not in entries:
        raise UserError(
            f"--method {name}: there is none of that name; there are {', '.join(entries)}{did_you_mean(name, entries)}"
        )
    return entries[name]


def find_learner(name: str) -> LearnerEntry:
    """The detector or segmenter of that name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in TEACHABLE:
        raise UserError(
            f"--method {name}: there is none of that name; there are {', '.join(TEACHABLE)}{did_you_mean(name, TEACHABLE)}"
        )
    return TEACHABLE[name]
