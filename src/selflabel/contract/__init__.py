"""WHAT A METHOD AND A PRETEXT ARE: what a paper decides, and nothing else.

A method lists its phases, and each phase owns its loss, its draw and its hooks. The training loop runs them. A method never sees
files, devices or truth. Everything that it learns lives in parameters, buffers and `extra_state`, so that a checkpoint holds all
of it: `build` makes the modules of every phase, and buffers may change their shape later.
"""

from selflabel.contract.batch import Batch, Gather, no_gather
from selflabel.contract.data import Data, Features
from selflabel.contract.detector import Detections, Detector, KnownBoxes
from selflabel.contract.finder import Finder, Region, Shown, shares_inside
from selflabel.contract.localiser import SOUNDING, Localiser
from selflabel.contract.method import Method, NoOptions
from selflabel.contract.phase import Phase, Recipe, do_nothing, shuffled_rows, split_batches
from selflabel.contract.pretext import PRETEXT, PRETEXT_BATCH_SIZE, PRETEXT_LR, PaperFilms, Pretext, SinglePretext
from selflabel.contract.region_learner import RegionLearner
from selflabel.contract.results import (
    LinearSolve,
    Outcome,
    Prediction,
    Regions,
    Relabelling,
    argmax_outcome,
    lowest_loss_head,
)
from selflabel.contract.segmenter import UNKNOWN, KnownMaps, Segmentation, Segmenter
from selflabel.contract.task import Task
from selflabel.contract.texts import Texts

__all__ = [
    "PRETEXT",
    "PRETEXT_BATCH_SIZE",
    "PRETEXT_LR",
    "SOUNDING",
    "UNKNOWN",
    "Batch",
    "Data",
    "Detections",
    "Detector",
    "Features",
    "Finder",
    "Gather",
    "KnownBoxes",
    "KnownMaps",
    "LinearSolve",
    "Localiser",
    "Method",
    "NoOptions",
    "Outcome",
    "PaperFilms",
    "Phase",
    "Prediction",
    "Pretext",
    "Recipe",
    "Region",
    "RegionLearner",
    "Regions",
    "Relabelling",
    "Segmentation",
    "Segmenter",
    "Shown",
    "SinglePretext",
    "Task",
    "Texts",
    "argmax_outcome",
    "do_nothing",
    "lowest_loss_head",
    "no_gather",
    "shares_inside",
    "shuffled_rows",
    "split_batches",
]
