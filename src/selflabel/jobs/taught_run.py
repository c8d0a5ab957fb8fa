"""The run folder of `teach`: the detector or segmenter, what it finds in the photos that it learned from, and the report."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from selflabel.base.files import write_atomically
from selflabel.base.settings import Settings
from selflabel.base.tensor_files import write_tensors
from selflabel.contract import RegionLearner
from selflabel.edits import BY_THE_RUN, Name, append
from selflabel.evaluation.sheet import contact_sheet
from selflabel.items import Items
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.find import labelling_of, report_of
from selflabel.jobs.finding import Found
from selflabel.jobs.labelling import places_of
from selflabel.jobs.lesson import Lesson
from selflabel.jobs.prepare.photos import Photos
from selflabel.jobs.run_source import places_behind
from selflabel.runs.opening import record_source
from selflabel.runs.origin import config_folder
from selflabel.runs.pictures import tile_reader
from selflabel.runs.run import MODEL, Run
from selflabel.runs.writing import write_labelling, write_report, write_start


def taught_report(
    settings: Settings,
    photos: Photos,
    items: Items,
    found: Found,
    lesson: Lesson,
    learner: RegionLearner,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """report.json: as of `find`, with classes."""
    assert found.regions.labels is not None
    sizes = np.bincount(found.regions.labels, minlength=int(lesson.classes[-1]) + 1)
    classes = int((sizes > 0).sum())
    piece = {"piece": "region"} if lesson.covers_photos else {}
    return (
        report_of(settings, photos, items, seconds)
        | piece
        | {
            "n_clusters": classes,
            "clusters_found": classes,
            "clusters_chosen_by": f"the run that it learned from, {settings.source}",
            "sizes": sizes.tolist(),
            "n_regions_learned": lesson.n_regions,
            "no_estimate": f"a {learner.noun} learned its classes from another run",
        }
    )


def write_taught(
    run: Run,
    settings: Settings,
    record: dict[str, Any],
    photos: Photos,
    items: Items,
    found: Found,
    learner: RegionLearner,
    encoder: nn.Module,
    lesson: Lesson,
    report: dict[str, Any],
    callbacks: Callbacks,
) -> None:
    """Write the run folder; the report, which marks the end, last."""
    write_start(run.folder, record, items.skipped, items.missing, items.paths, items.pieces)
    if not record_source(run.folder, items, [*places_of(settings), *places_behind(settings.source)]):
        callbacks.say(f"{config_folder()} cannot be written, so commands that show this run's items will need --source.")
    tensors = {f"backbone.image.{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"method.{k}": v for k, v in learner.state_dict().items()}
    write_tensors(run.folder / MODEL, tensors, {"head": 0, "method": {"classes": lesson.classes.tolist()}})
    labelling = labelling_of(items, found)
    write_labelling(run.folder, labelling)
    tile = tile_reader(items, {"image": photos.modality.info})
    if tile is not None:
        sheet = contact_sheet(labelling.labels, labelling.top_probs[:, 0], tile, names=lesson.regions.names)
        write_atomically(run.folder / "clusters.png", lambda p: sheet.save(p))
    in_use = set(labelling.labels.tolist())
    for label, name in sorted(lesson.regions.names.items()):
        if label in in_use:
            append(run.folder, Name(id=BY_THE_RUN, cluster=label, name=name))
    write_report(run.folder, report)
