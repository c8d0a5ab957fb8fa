"""`selflabel find`: open, inspect, decode whole frames, find objects, describe, write a run folder whose rows are the objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from selflabel.assignment.neighbours import nearest
from selflabel.base.errors import UserError
from selflabel.base.files import write_atomically
from selflabel.base.machine import peak_memory
from selflabel.base.settings import Settings
from selflabel.base.tensor_files import write_tensors
from selflabel.contract import Finder, Task
from selflabel.edits import BY_THE_RUN, Name, append
from selflabel.evaluation.diagnostics import histogram
from selflabel.evaluation.sheet import contact_sheet
from selflabel.items import Items
from selflabel.jobs.build import make_options
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.finding import LEARNED, Found, find_objects, learn
from selflabel.jobs.labelling import Timer, places_of
from selflabel.jobs.prepare import Prepared
from selflabel.jobs.prepare.photos import Photos, decode_photos, photos_of, plan_photos
from selflabel.jobs.report import RUN_NEIGHBOURS, piece_of_report
from selflabel.jobs.run_source import open_source
from selflabel.jobs.save import run_record
from selflabel.methods import FINDERS, find_finder, make_finder
from selflabel.runs.claiming import claimed
from selflabel.runs.opening import record_source
from selflabel.runs.origin import config_folder
from selflabel.runs.picture_table import write_pictures
from selflabel.runs.pictures import tile_reader
from selflabel.runs.run import MODEL, Run
from selflabel.runs.writing import Labelling, write_labelling, write_report, write_start
from selflabel.training.distributed import Ranks, pick_device

CLASS = "object"  # the name of the only class
NO_CLASSES = "objects have no classes yet"


@dataclass(frozen=True)
class FoundRun:
    """What `find` returns.

    Attributes:
        report: as in report.json.
        items: the objects.
        found: the objects, and the photos without one; None where a finished run was found.
    """

    report: dict[str, Any]
    items: Items
    found: Found | None


def find(settings: Settings, out: Path | None, overwrite: bool = False, callbacks: Callbacks | None = None) -> FoundRun:
    """Find the objects of a source's photos and write the run folder.

    Args:
        settings: the source, the finder as `method`, its encoder and options; what is for labels only does not count.
        out: the run folder; None writes nothing.
        overwrite: replace the run in the folder.
        callbacks: functions to call on the way.

    Raises:
        UserError: a setting, the source or the run folder is wrong, no pretrained encoder can be had, or nothing is found.
        Interrupted: stopped from outside; nothing is written.
    """
    callbacks, device = callbacks or Callbacks(), pick_device(settings.device)
    find_finder(settings.method)  # its error names those that there are
    make = FINDERS[settings.method].make
    finder = make_finder(settings.method, make_options(make, settings.method, settings.options))
    if out is None:
        return find_into(None, finder, settings, device, callbacks)
    run = Run(Path(out))
    with claimed(run, settings, resume=False, overwrite=overwrite, resumable=False):
        return find_into(run, finder, settings, device, callbacks)


def find_into(run: Run | None, finder: Finder, settings: Settings, device: torch.device, callbacks: Callbacks) -> FoundRun:
    """See `find`; the run folder is this process's own. Nothing is written before all objects are found."""
    timer = Timer()
    callbacks.on_progress("looking at the photos", 0, 0)
    opened = open_source(settings.source, settings.follow_links)
    for note in opened.notes:
        callbacks.say(note)
    pictures = photos_of(opened)
    photos = decode_photos(pictures, plan_photos(pictures, settings, device, callbacks), settings, callbacks)
    encoder = photos.modality.make_encoder().to(device).eval()
    timer.stop("prepare")
    learn(photos, finder, encoder, device, settings.seed, callbacks)
    timer.stop("learn")
    found = find_objects(photos, finder, encoder, device, callbacks)
    timer.stop("find")
    if not len(found.regions.rows):
        raise UserError(
            f"{photos.items.source}: nothing was found in any of its {len(photos.items)} photos; try another --encoder."
        )
    if found.skipped:
        path = found.skipped[0][0]
        callbacks.say(f"in {len(found.skipped)} of {len(photos.items)} photos nothing was found; the first, {path}")
    items = objects_of(photos, found)
    report = report_of(settings, photos, items, timer.seconds)
    report["peak_bytes"] = peak_memory(device)
    if run is not None:
        callbacks.on_progress("writing the run", 0, 0)
        write(run, settings, photos, items, found, encoder, finder, device, report, callbacks)
    return FoundRun(report, items, found)


def objects_of(photos: Photos, found: Found) -> Items:
    """The objects as items: of each its photo's path, and its piece of it."""
    items = replace(photos.items, truth=None).take(found.regions.rows.tolist())
    listed = [*photos.items.skipped, *found.skipped]
    return replace(items.with_pieces(found.regions.pieces), skipped=listed)


def report_of(settings: Settings, photos: Photos, items: Items, seconds: dict[str, float]) -> dict[str, Any]:
    """report.json: as of `label`, with one class."""
    assert items.pieces is not None and items.pieces.scores is not None
    scores = items.pieces.scores
    return {
        "modalities": {"image": photos.modality.info.kind},
        "n_items": len(items),
        **piece_of_report(items.pieces),
        "n_photos": len(photos.items),
        "n_skipped": len(items.skipped),
        "n_clusters": 1,
        "clusters_found": 1,
        "clusters_requested": None,
        "clusters_chosen_by": f"nobody: {NO_CLASSES}",
        "sizes": [len(items)],
        "mass": "as found",
        "method": settings.method,
        "encoder": photos.modality.encoder,
        "head": 0,
        "signs": {},
        "median_confidence": round(float(np.median(scores)), 4),
        "confidence_histogram": histogram(scores),
        "estimated_accuracy": None,
        "no_estimate": NO_CLASSES,
        "collapsed": False,
        "epochs": 0,
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
    }


def write(
    run: Run,
    settings: Settings,
    photos: Photos,
    items: Items,
    found: Found,
    encoder: nn.Module,
    finder: Finder,
    device: torch.device,
    report: dict[str, Any],
    callbacks: Callbacks,
) -> None:
    """Write the run folder; the report, which marks the end, last."""
    task = Task(len(items), 1, photos.modality.info.kind, photos.modality.px, photos.modality.channels, pretrained=True)
    record = run_record(settings, task, photos.prepared, device, Ranks())
    write_start(run.folder, record, items.skipped, items.missing, items.paths, items.pieces)
    write_pictures(run.folder, photos.items.paths, photos.sizes)
    if not record_source(run.folder, items, places_of(settings)):
        callbacks.say(f"{config_folder()} cannot be written, so commands that show this run's items will need --source.")
    backbone = {f"backbone.image.{k}": v for k, v in encoder.state_dict().items()}
    learned = {f"{LEARNED}{k}": torch.from_numpy(v) for k, v in finder.state().items()}
    write_tensors(run.folder / MODEL, backbone | learned, {"head": 0, "method": {}})
    write_objects(run, photos.prepared, items, found, report)


def write_objects(run: Run, prepared: Prepared, items: Items, found: Found, report: dict[str, Any]) -> None:
    """Write the objects of a run, whose other files are written, and the report."""
    labelling = labelling_of(items, found)
    write_labelling(run.folder, labelling)
    tile = tile_reader(items, {m: modality.info for m, modality in prepared.modalities.items()})
    if tile is not None:
        names = {0: CLASS} if found.regions.labels is None else {}
        sheet = contact_sheet(labelling.labels, labelling.top_probs[:, 0], tile, names=names)
        write_atomically(run.folder / "clusters.png", lambda p: sheet.save(p))
    if found.regions.labels is None:
        append(run.folder, Name(id=BY_THE_RUN, cluster=0, name=CLASS))
    write_report(run.folder, report)


def labelling_of(items: Items, found: Found) -> Labelling:
    """The objects as a labelling of one class, their scores as confidence."""
    n, features = len(items), found.regions.features
    labels = np.zeros(n, np.int64) if found.regions.labels is None else found.regions.labels
    assert items.pieces is not None and items.pieces.scores is not None
    return Labelling(
        items.paths,
        labels,
        labels[:, None],
        items.pieces.scores[:, None],
        features,
        nearest(torch.from_numpy(features), RUN_NEIGHBOURS).rows.numpy(),
        items.skipped,
        None,
        pieces=items.pieces,
    )
